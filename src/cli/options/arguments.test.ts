import { describe, expect, it } from "vitest";
import { commands } from "../commands.ts";
import { checkPositionals, parseArguments } from "./arguments.ts";
import { globalOptions } from "./global-options.ts";

const create = commands.find(({ name }) => name === "create")?.options ?? [];
const parse = (...argv: string[]) => parseArguments(argv, { options: create, command: "create" });

describe("parseArguments", () => {
  it.each([
    [["--bundle", "/b", "id"]],
    [["--bundle=/b", "id"]],
    [["-bundle", "/b", "id"]],
    [["-bundle=/b", "id"]],
    [["-b", "/b", "id"]],
    [["-b=/b", "id"]],
    [["--b", "/b", "id"]],
    [["id", "--bundle", "/b"]],
    [["--bundle", "/a", "id", "--bundle", "/b"]],
    [["--bundle", "/b", "--", "id"]],
  ])("accepts %j", (argv) => {
    const args = parse(...argv);
    expect(args.string("bundle")).toBe("/b");
    expect(args.positionals).toEqual(["id"]);
  });

  it.each([
    ["--no-pivot", true],
    ["-no-pivot", true],
    ["--no-pivot=true", true],
    ["--no-pivot=T", true],
    ["--no-pivot=1", true],
    ["--no-pivot=false", false],
    ["-no-pivot=0", false],
    ["--no-pivot=F", false],
  ])("reads %s as %s", (token, expected) => {
    expect(parse(token, "id").flag("no-pivot")).toBe(expected);
  });

  it("takes any token as the value of an option", () => {
    expect(parse("--bundle", "--odd", "id").string("bundle")).toBe("--odd");
    expect(parse("--bundle", "a=b", "id").string("bundle")).toBe("a=b");
    expect(parse("--bundle=a=b", "id").string("bundle")).toBe("a=b");
  });

  it("takes an empty value for an absent one", () => {
    expect(parse("--bundle=", "id").string("bundle")).toBeUndefined();
  });

  it("keeps arguments as text: numbers, a lone dash, what follows --", () => {
    expect(parse("007", "-", "-9", "--", "--bundle").positionals).toEqual(["007", "-", "-9", "--bundle"]);
  });

  it("takes what looks like a name from Object.prototype for an unknown option", () => {
    expect(() => parse("--constructor", "id")).toThrow("flag provided but not defined: -constructor");
  });

  it.each([
    [["--bogus", "id"], "flag provided but not defined: -bogus"],
    [["--no-bundle", "id"], "flag provided but not defined: -no-bundle"],
    [["id", "--bundle"], "flag needs an argument: -bundle"],
    [["--no-pivot=maybe", "id"], 'invalid boolean value "maybe" for flag -no-pivot: parse error'],
    [["--preserve-fds", "x", "id"], 'invalid value "x" for flag -preserve-fds: parse error'],
    [["--preserve-fds=-1", "id"], 'invalid value "-1" for flag -preserve-fds: parse error'],
    [["--preserve-fds=", "id"], 'invalid value "" for flag -preserve-fds: parse error'],
  ])("refuses %j", (argv, message) => {
    expect(() => parse(...argv)).toThrow(message);
  });

  it("ends the global options at the command", () => {
    const args = parseArguments(["--root", "/r", "state", "--root", "id"], { options: globalOptions });
    expect(args.string("root")).toBe("/r");
    expect(args.positionals).toEqual(["state", "--root", "id"]);
  });
});

describe("exec", () => {
  const exec = commands.find(({ name }) => name === "exec");
  const parseExec = (...argv: string[]) =>
    parseArguments(argv, { options: exec?.options ?? [], command: "exec", endOptions: true });

  it("takes what follows the id as the command, options and -- included", () => {
    const args = parseExec("--tty", "id", "sh", "-c", "x", "--user", "1", "--", "-d");
    expect(args.positionals).toEqual(["id", "sh", "-c", "x", "--user", "1", "--", "-d"]);
    expect(args.flag("tty")).toBe(true);
    expect([args.flag("detach"), args.string("user")]).toEqual([false, undefined]);
  });

  it("ends its options at --, which is no argument", () => {
    expect(parseExec("-t", "--", "id", "--", "-x").positionals).toEqual(["id", "--", "-x"]);
  });

  it("collects the values of a list in order, by name and alias", () => {
    const args = parseExec("--env", "A=1", "-e", "B=2", "-env=C=3", "--env=", "id");
    expect(args.list("env")).toEqual(["A=1", "B=2", "C=3", ""]);
    expect(args.list("cap")).toEqual([]);
  });

  it("refuses a list without a value, and unknown options before the id", () => {
    expect(() => parseExec("--env")).toThrow("flag needs an argument: -env");
    expect(() => parseExec("--no-such", "id")).toThrow("flag provided but not defined: -no-such");
  });
});

describe("every option of the table", () => {
  const levels = [{ name: "runts", options: globalOptions }, ...commands];
  const rows = levels.flatMap(({ name, options }) =>
    options.flatMap((option) =>
      [option.name, ...(option.alias === undefined ? [] : [option.alias])].map((given) => ({
        name,
        option,
        given,
        options,
      })),
    ),
  );

  it.each(rows)("$name --$given", ({ option, given, options }) => {
    const value = { string: "text", number: "3", boolean: "true", list: "entry" }[option.type];
    for (const argv of [[`--${given}=${value}`], [`-${given}=${value}`]]) {
      const args = parseArguments(argv, { options, command: "any" });
      if (option.type === "string") expect(args.string(option.name)).toBe("text");
      if (option.type === "list") expect(args.list(option.name)).toEqual(["entry"]);
      if (option.type === "number") expect(args.number(option.name)).toBe(3);
      if (option.type === "boolean") expect(args.flag(option.name)).toBe(true);
    }
  });

  it.each(levels)("$name has each name once", ({ options }) => {
    const names = options.flatMap(({ name, alias }) => (alias === undefined ? [name] : [name, alias]));
    expect(new Set(names).size).toBe(names.length);
  });
});

describe("checkPositionals", () => {
  it.each([
    [1, 1, 0, '"x" requires exactly 1 argument'],
    [1, 1, 2, '"x" requires exactly 1 argument'],
    [0, 0, 1, '"x" requires exactly 0 arguments'],
    [1, 2, 0, '"x" requires a minimum of 1 argument'],
    [1, 2, 3, '"x" requires a maximum of 2 arguments'],
  ])("from %i to %i, given %i", (min, max, given, message) => {
    expect(() => checkPositionals("x", { usage: "", min, max }, given)).toThrow(message);
  });
});
