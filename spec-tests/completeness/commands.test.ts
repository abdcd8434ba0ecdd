import { execFileSync } from "node:child_process";
import { beforeAll, describe, expect, test } from "vitest";
import { IS_RUNTS, RUNTIME } from "../harness/runtime.ts";
import { LISTING_MS, titlesOfTests } from "./titles.ts";

function help(...command: readonly string[]): string {
  return execFileSync(RUNTIME, [...command, "--help"], { encoding: "utf8" });
}

/** Long names of the options that a help page lists, except --help itself. */
function optionsOf(text: string): string[] {
  return [...text.matchAll(/^ +(?:-\w, )?(--[a-z0-9-]+)/gm)]
    .map((match) => match[1] ?? "")
    .filter((option) => option !== "--help");
}

/** The part of a title before the requirement, without the names of groups. */
function situation(title: string): string {
  return title.split(" > ").at(-1)?.split(": ")[0] ?? "";
}

function has(text: string, word: string): boolean {
  return new RegExp(`(^|[^\\w-])${word}($|[^\\w-])`).test(text);
}

/** Whether a title is about a command: its first word. Engines have commands of the same names, as in "podman exec". */
function isAbout(text: string, command: string): boolean {
  return new RegExp(`^${command}($|[^\\w-])`).test(text);
}

/**
 * The commands that engines call, whose options have to be in titles. For the others, the command itself is enough: the options of
 * checkpoint and restore are criu's, and src/cli/commands/checkpoint.test.ts and restore.test.ts test them all.
 */
const CALLED_BY_ENGINES =
  "create run start state kill delete list exec ps pause resume update events features spec".split(" ");

describe.skipIf(!IS_RUNTS)("coverage of the command line", () => {
  let titles: string[] = [];
  const commands = IS_RUNTS
    ? [...help().matchAll(/^ {2}runts ([a-z]+)/gm)].map((match) => match[1] ?? "")
    : [];

  beforeAll(() => {
    titles = titlesOfTests();
  }, LISTING_MS);

  test("every command has a test whose title begins with it; titles name each option of those that engines call", () => {
    const missing = commands.flatMap((command) => {
      const own = titles.map(situation).filter((title) => isAbout(title, command));
      const listed = CALLED_BY_ENGINES.includes(command) ? optionsOf(help(command)) : [];
      const options = listed.filter((option) => !own.some((title) => has(title, option)));
      return [...(own.length === 0 ? [command] : []), ...options.map((option) => `${command} ${option}`)];
    });
    expect(commands).toEqual(expect.arrayContaining(CALLED_BY_ENGINES));
    expect(missing).toEqual([]);
  });

  test("every global option is in the title of a test", () => {
    const missing = optionsOf(help()).filter(
      (option) => !titles.some((title) => has(situation(title), option)),
    );
    expect(missing).toEqual([]);
  });
});
