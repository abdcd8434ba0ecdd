import { describe, expect, expectTypeOf, it } from "vitest";
import { execCommand } from "../commands/exec.ts";
import { commands } from "../commands.ts";
import { parsed } from "../parsed.test-support.ts";
import { checkPositionals, parseArguments } from "./arguments.ts";
import { globalOptions } from "./global-options.ts";
import type { Option, Positionals } from "./option.ts";
import { createOptions } from "./shared-options.ts";

const parse = (...argv: string[]) => parseArguments(argv, { options: createOptions, command: "create" });

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
    expect(args.options.bundle).toBe("/b");
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
    expect(parse(token, "id").options["no-pivot"]).toBe(expected);
  });

  it("takes any token as the value of an option", () => {
    expect(parse("--bundle", "--odd", "id").options.bundle).toBe("--odd");
    expect(parse("--bundle", "a=b", "id").options.bundle).toBe("a=b");
    expect(parse("--bundle=a=b", "id").options.bundle).toBe("a=b");
  });

  it("treats an empty value as absent", () => {
    expect(parse("--bundle=", "id").options.bundle).toBeUndefined();
  });

  it("keeps arguments as text: numbers, a lone dash, what follows --", () => {
    expect(parse("007", "-", "-9", "--", "--bundle").positionals).toEqual(["007", "-", "-9", "--bundle"]);
  });

  it("treats a name from Object.prototype as an unknown option", () => {
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
    expect(args.options.root).toBe("/r");
    expect(args.positionals).toEqual(["state", "--root", "id"]);
  });
});

describe("exec", () => {
  const parseExec = (...argv: string[]) => parsed(execCommand, ...argv);

  it("treats everything after the id as the command, also options and --", () => {
    const args = parseExec("--tty", "id", "sh", "-c", "x", "--user", "1", "--", "-d");
    expect(args.positionals).toEqual(["id", "sh", "-c", "x", "--user", "1", "--", "-d"]);
    expect(args.options).toMatchObject({ tty: true, detach: false, user: undefined });
  });

  it("ends its options at --, and drops that", () => {
    expect(parseExec("-t", "--", "id", "--", "-x").positionals).toEqual(["id", "--", "-x"]);
  });

  it("collects the values of a list in order, by name and alias", () => {
    const args = parseExec("--env", "A=1", "-e", "B=2", "-env=C=3", "--env=", "id");
    expect(args.options.env).toEqual(["A=1", "B=2", "C=3", ""]);
    expect(args.options.cap).toEqual([]);
  });

  it("refuses a list without a value, and unknown options before the id", () => {
    expect(() => parseExec("--env")).toThrow("flag needs an argument: -env");
    expect(() => parseExec("--no-such", "id")).toThrow("flag provided but not defined: -no-such");
  });
});

describe("each option of the program", () => {
  const levels = [{ name: "runts", options: globalOptions }, ...commands];
  const rows = levels.flatMap(({ name: level, options }) =>
    Object.entries<Option>(options).flatMap(([name, { alias, type }]) =>
      [name, ...(alias === undefined ? [] : [alias])].map((given) => ({ level, name, type, given, options })),
    ),
  );

  it.each(rows)("$level --$given", ({ name, type, given, options }) => {
    const [text, value] = (
      {
        string: ["text", "text"],
        number: ["3", 3],
        boolean: ["true", true],
        list: ["entry", ["entry"]],
      } as const
    )[type];
    for (const argv of [[`--${given}=${text}`], [`-${given}=${text}`]]) {
      const { options: values } = parseArguments(argv, { options, command: "any" });
      expect(values).toHaveProperty([name], value);
    }
  });

  it.each(levels)("$name has each name once", ({ options }) => {
    const names = Object.entries<Option>(options).flatMap(([name, { alias }]) =>
      alias === undefined ? [name] : [name, alias],
    );
    expect(new Set(names).size).toBe(names.length);
  });
});

describe("values", () => {
  const options = {
    text: { type: "string", description: "" },
    preset: { type: "string", description: "", default: "preset" },
    count: { type: "number", description: "", default: "0" },
    flag: { type: "boolean", description: "" },
    switch: { type: "boolean", tristate: true, description: "" },
    many: { type: "list", description: "" },
  } as const;
  const valuesOf = (...argv: string[]) => parseArguments(argv, { options, command: "any" }).options;

  it("absent options: undefined, the default, false or an empty list", () => {
    const absent = { text: undefined, preset: "preset", count: 0, flag: false, switch: undefined, many: [] };
    expect(valuesOf()).toEqual(absent);
  });

  it("a boolean with three states tells =false from absence", () => {
    expect([valuesOf("--switch").switch, valuesOf("--switch=false").switch]).toEqual([true, false]);
  });

  it("an empty text replaces a default", () => {
    expect(valuesOf("--preset=").preset).toBe("");
  });

  it("each has the type of its description, and no other name is one", () => {
    const values = valuesOf();
    expectTypeOf(values.text).toEqualTypeOf<string | undefined>();
    expectTypeOf(values.preset).toEqualTypeOf<string>();
    expectTypeOf(values.count).toEqualTypeOf<number>();
    expectTypeOf(values.flag).toEqualTypeOf<boolean>();
    expectTypeOf(values.switch).toEqualTypeOf<boolean | undefined>();
    expectTypeOf(values.many).toEqualTypeOf<readonly string[]>();
    // @ts-expect-error: a misspelt name
    expect(values.flags).toBeUndefined();
  });
});

describe("checkPositionals", () => {
  it.each([
    [1, 1, 0, '"x" requires exactly 1 argument'],
    [1, 1, 2, '"x" requires exactly 1 argument'],
    [0, 0, 1, '"x" requires exactly 0 arguments'],
    [1, 2, 0, '"x" requires a minimum of 1 argument'],
    [1, 2, 3, '"x" requires a maximum of 2 arguments'],
  ] as const)("from %i to %i, given %i", (min, max, given, message) => {
    const positionals: Positionals = { usage: "", min, max };
    expect(() => checkPositionals("x", positionals, Array(given).fill("a"))).toThrow(message);
  });
});
