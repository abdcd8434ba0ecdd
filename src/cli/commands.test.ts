import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { deleteCommand } from "./commands/delete.ts";
import { killCommand } from "./commands/kill.ts";
import { psCommand } from "./commands/ps.ts";
import { commands } from "./commands.ts";
import { parsed } from "./parsed.test-support.ts";

const names = commands.map(({ name }) => name);

describe("the list of commands", () => {
  it("has each module of src/cli/commands, in order", () => {
    const modules = readdirSync(join(import.meta.dirname, "commands"))
      .filter((file) => !file.endsWith(".test.ts"))
      .map((file) => file.replace(/\.ts$/, ""));
    expect(names).toEqual(modules.sort());
  });

  it("is the table of docs/features.md", () => {
    const page = readFileSync(join(import.meta.dirname, "../../docs/features.md"), "utf8");
    const rows = [...page.matchAll(/^\| `runts ([^`]+)` +\| (.+?) +\|$/gm)];
    const table = rows.map(([, usage = "", summary = ""]) => ({
      usage: usage.replaceAll("\\|", "|"),
      summary,
    }));
    expect(table).toEqual(
      commands.map(({ name, positionals, summary }) => ({
        usage: `${name} ${positionals.usage}`.trimEnd(),
        summary,
      })),
    );
  });
});

describe("arguments", () => {
  it.each([
    ["start", ["box"]],
    ["pause", ["box"]],
    ["resume", ["box"]],
    ["state", ["box"]],
  ])("%s: the id", (name, argv) => {
    const command = commands.find((candidate) => candidate.name === name);
    expect(command?.parse(argv)).toMatchObject({ positionals: ["box"] });
  });

  it.each([
    [["box"], ["box"], false],
    [["--all", "box", "9"], ["box", "9"], true],
    [["box", "KILL", "-a"], ["box", "KILL"], true],
    [["box", "-9"], ["box", "-9"], false],
  ])("kill %j", (argv, positionals, all) => {
    expect(parsed(killCommand, ...argv)).toMatchObject({ positionals, options: { all, regex: false } });
  });

  it.each([
    [["box"], false],
    [["--force", "box"], true],
    [["box", "-f"], true],
  ])("delete %j", (argv, force) => {
    expect(parsed(deleteCommand, ...argv)).toMatchObject({
      positionals: ["box"],
      options: { force, regex: false },
    });
  });

  it.each([
    [["--format", "json", "box"], ["box"]],
    [["-f=json", "box"], ["box"]],
    [
      ["-f=json", "box", "-f"],
      ["box", "-f"],
    ],
    [
      ["-f=json", "box", "-o", "pid", "-h"],
      ["box", "-o", "pid", "-h"],
    ],
  ])("ps %j: what follows the id is for ps", (argv, positionals) => {
    expect(parsed(psCommand, ...argv)).toMatchObject({ positionals, options: { format: "json" } });
  });
});

it.each(commands)("$name --help and -h: the help, whatever else is missing", (command) => {
  expect([command.parse(["--help"]), command.parse(["-h"])]).toEqual(["help", "help"]);
});
