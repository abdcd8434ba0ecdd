import { describe, expect, it } from "vitest";
import type { CommandDescription, Manual } from "../command.ts";
import { commands } from "../commands.ts";
import { parseArguments } from "../options/arguments.ts";
import { globalOptions } from "../options/global-options.ts";
import { completionScript, SHELLS } from "./completion-script.ts";
import { manualPage, programPage } from "./manual-page.ts";
import { programManual } from "./program.ts";

/** Splits an example into the arguments of its first runts, without quotes, pipes and redirections. */
function argumentsOf(line: string): string[] {
  const words = line.split(/\s[|>]/)[0]?.split(" ") ?? [];
  return words.slice(1).map((word) => word.replace(/^'(.*)'$/, "$1"));
}

function examplesOf({ examples }: Manual): string[] {
  return examples.map(([line]) => line).filter((line) => line.startsWith("runts "));
}

describe("examples", () => {
  it.each([...commands, programManual].flatMap(examplesOf))("`%s` is a valid command line", (line) => {
    const [name, ...argv] = parseArguments(argumentsOf(line), { options: globalOptions }).positionals;
    const command = commands.find((candidate) => candidate.name === name);
    if (command === undefined) throw new Error("no such command");
    expect(() => command.parse(argv)).not.toThrow();
  });

  it.each(commands)("$name has some, each of that command", ({ name, examples }) => {
    const lines = examples.map(([line]) => line);
    expect(lines).not.toEqual([]);
    expect(lines.filter((line) => !line.startsWith(`runts ${name}`))).toEqual([]);
  });
});

describe("manual pages", () => {
  it.each(commands)(
    "$name: has its summary, all options with their descriptions, and examples",
    (command) => {
      const page = manualPage(command);
      expect(page).toContain(` \\- ${escaped(command.summary)}\n`);
      for (const [name, { description }] of Object.entries(command.options)) {
        expect(page).toContain(`${escaped(`--${name}`)}\\fR`);
        expect(page).toContain(escaped(description));
      }
      for (const heading of ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"])
        expect(page).toContain(`\n.SH ${heading}\n`);
    },
  );

  it("of the program: has every command with its summary, and every global option", () => {
    const page = programPage(commands);
    for (const { name, summary } of commands)
      expect(page).toContain(`\\fBrunts\\-${name}\\fR(8)\n${escaped(summary)}\n`);
    for (const name of Object.keys(globalOptions)) expect(page).toContain(`${escaped(`--${name}`)}\\fR`);
  });

  it("escapes what roff would interpret", () => {
    const command: CommandDescription = {
      name: "x",
      summary: ".begins with a dot, 'quotes', a \\ and a-dash",
      positionals: { usage: "", min: 0, max: 0 },
      options: {},
      description: [],
      examples: [],
    };
    expect(manualPage(command)).toContain(
      "x \\- \\&.begins with a dot, \\(aqquotes\\(aq, a \\e and a\\-dash",
    );
  });
});

/** A text without backslashes, as roff has it. */
function escaped(text: string): string {
  return text.replace(/-/g, "\\-").replace(/'/g, "\\(aq");
}

/** Matches the option itself, and no longer one that begins like it. */
function named(option: string): RegExp {
  return new RegExp(`(--| -l )${option}(?![\\w-])`);
}

describe.each(SHELLS)("completion for %s", (shell) => {
  const script = completionScript(shell, commands);

  it.each(commands)("$name: has the command and its options", ({ name, options }) => {
    expect(script).toMatch(new RegExp(`(^|[ "])${name}([ )"]|$)`, "m"));
    const isOwn = (line: string) =>
      line.startsWith(`    ${name}) options=`) || line.includes(`__fish_seen_subcommand_from ${name}'`);
    const own = script.split("\n").filter(isOwn).join("\n");
    for (const option of Object.keys(options)) expect(own).toMatch(named(option));
  });

  it("has the global options", () => {
    for (const option of Object.keys(globalOptions)) expect(script).toMatch(named(option));
  });
});
