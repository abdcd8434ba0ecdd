import { describe, expect, it } from "vitest";
import { commands } from "../commands.ts";
import { checkPositionals, parseArguments } from "../options/arguments.ts";
import { globalOptions } from "../options/global-options.ts";
import { type ManualEntry, manual, programManual } from "./manual.ts";
import { manualPage } from "./manual-page.ts";

const table = { commands, globalOptions };
const names = commands.map(({ name }) => name);

/** The arguments of the first runts on an example line, without quotes and what the shell does with its output. */
function argumentsOf(line: string): string[] {
  const words = line.split(/\s[|>]/)[0]?.split(" ") ?? [];
  return words.slice(1).map((word) => word.replace(/^'(.*)'$/, "$1"));
}

function examplesOf(entry: ManualEntry): string[] {
  return entry.examples.map(([line]) => line).filter((line) => line.startsWith("runts "));
}

describe("manual", () => {
  it("has an entry for each command, and no other", () => {
    expect(Object.keys(manual).sort()).toEqual([...names].sort());
  });

  it.each([...Object.values(manual), programManual].flatMap(examplesOf))("`%s` is understood", (line) => {
    const globals = parseArguments(argumentsOf(line), { options: globalOptions });
    const command = commands.find(({ name }) => name === globals.positional(0));
    if (command === undefined) throw new Error("no such command");
    const { name, options, positionals } = command;
    const endOptions = positionals.endOptions === true;
    const args = parseArguments(globals.positionals.slice(1), { options, command: name, endOptions });
    expect(() => checkPositionals(name, positionals, args.positionals.length)).not.toThrow();
  });

  it.each(Object.entries(manual))("the examples of %s are its own", (name, entry) => {
    const lines = entry.examples.map(([line]) => line);
    expect(lines).not.toEqual([]);
    expect(lines.filter((line) => !line.startsWith(`runts ${name}`))).toEqual([]);
  });
});

describe("manualPage", () => {
  it.each(commands)("$name: has its summary, all options with their values, and examples", (command) => {
    const page = manualPage(command, table);
    for (const { name, description } of command.options) {
      expect(page).toContain(`\\-\\-${name.replace(/-/g, "\\-")}`);
      expect(page).toContain(description.split(/[-'`\\]/)[0] ?? "");
    }
    for (const heading of ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"])
      expect(page).toContain(`\n.SH ${heading}\n`);
  });

  it("of the program: has every command", () => {
    const page = manualPage(undefined, table);
    for (const name of names) expect(page).toContain(`\\fBrunts\\-${name}`);
  });

  it("escapes what roff would take for its own", () => {
    const page = manualPage(
      {
        name: "x",
        summary: ".begins with a dot, 'quotes', a \\ and a-dash",
        positionals: { usage: "", min: 0, max: 0 },
        options: [],
        run: () => 0,
      },
      table,
    );
    expect(page).toContain("x \\- \\&.begins with a dot, \\(aqquotes\\(aq, a \\e and a\\-dash");
  });
});
