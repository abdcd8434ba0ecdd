import type { OptionDescription, Positionals } from "./option.ts";
import { UsageError } from "./usage-error.ts";

/**
 * The options and arguments of one level of the command line, in the syntax of Go's flag package, which engines use: one or two
 * dashes, `--name=value` or `--name value` (whatever the value looks like), booleans as `--name` or `--name=false`, `--` as the
 * end of options.
 *
 * Not yargs-parser: it has neither one-dash names, nor unknown options as errors, nor values that begin with a dash, so every
 * token would be resolved against the table before it anyway; and loading it costs 2 ms of 8 in the compiled program (5 by its
 * Node entry), this file 0.3.
 */
export class ParsedArguments {
  readonly positionals: readonly string[];
  readonly #values: ReadonlyMap<string, string>;
  readonly #lists: ReadonlyMap<string, readonly string[]>;

  constructor(
    values: ReadonlyMap<string, string>,
    lists: ReadonlyMap<string, readonly string[]>,
    positionals: readonly string[],
  ) {
    this.#values = values;
    this.#lists = lists;
    this.positionals = positionals;
  }

  /** The argument at an index that the command's description guarantees to be there. */
  positional(index: number): string {
    const value = this.positionals[index];
    if (value === undefined) throw new Error(`argument ${index} is not in the command's description`);
    return value;
  }

  /** Empty counts as absent, as for runc. */
  string(name: string): string | undefined {
    return this.#values.get(name) || undefined;
  }

  /** Every value of an option that may be given several times, in order. */
  list(name: string): readonly string[] {
    return this.#lists.get(name) ?? [];
  }

  flag(name: string): boolean {
    return this.givenFlag(name) === true;
  }

  /** Of an option that can also switch off what is on without it: undefined if it is absent. */
  givenFlag(name: string): boolean | undefined {
    const value = this.#values.get(name);
    return value === undefined ? undefined : value === "true";
  }

  number(name: string): number {
    return Number(this.#values.get(name) ?? 0);
  }
}

export interface ParseRules {
  readonly options: readonly OptionDescription[];
  /** The command that the arguments belong to; absent for the global options, which end at the command's name. */
  readonly command?: string;
  /** The first argument ends the options, as it does for the global ones. */
  readonly endOptions?: boolean;
}

export function parseArguments(argv: readonly string[], rules: ParseRules): ParsedArguments {
  const values = new Map<string, string>();
  const lists = new Map<string, string[]>();
  const positionals: string[] = [];
  for (const option of rules.options) {
    if (option.default !== undefined) values.set(option.name, option.default);
  }
  for (let index = 0; index < argv.length; index++) {
    const token = argv[index] ?? "";
    if (token === "--") {
      positionals.push(...argv.slice(index + 1));
      break;
    }
    if (!isOption(token)) {
      positionals.push(token);
      if (rules.command !== undefined && rules.endOptions !== true) continue;
      positionals.push(...argv.slice(index + 1));
      break;
    }
    const { name, value } = splitOption(token);
    const option = findOption(rules, name);
    if (option.type === "boolean") {
      values.set(option.name, parseBoolean(value ?? "true", option.name, rules));
      continue;
    }
    const given = value ?? argv[++index];
    if (given === undefined) throw new UsageError(`flag needs an argument: -${name}`, rules.command);
    if (option.type === "list") {
      lists.set(option.name, [...(lists.get(option.name) ?? []), given]);
      continue;
    }
    values.set(option.name, option.type === "number" ? parseNumber(given, option.name, rules) : given);
  }
  return new ParsedArguments(values, lists, positionals);
}

/** `-` and negative numbers (`kill ID -9`) are arguments. */
function isOption(token: string): boolean {
  return token.length > 1 && token.startsWith("-") && !/^-\d+$/.test(token);
}

function splitOption(token: string): { name: string; value: string | undefined } {
  const body = token.slice(token.startsWith("--") ? 2 : 1);
  const equals = body.indexOf("=");
  return equals < 0
    ? { name: body, value: undefined }
    : { name: body.slice(0, equals), value: body.slice(equals + 1) };
}

function findOption(rules: ParseRules, name: string): OptionDescription {
  const option = rules.options.find((candidate) => candidate.name === name || candidate.alias === name);
  if (option === undefined) throw new UsageError(`flag provided but not defined: -${name}`, rules.command);
  return option;
}

/** The spellings of Go's strconv.ParseBool, as "true" or "false"; undefined for any other text. */
export function parseGoBoolean(text: string): "true" | "false" | undefined {
  switch (text) {
    case "1":
    case "t":
    case "T":
    case "true":
    case "TRUE":
    case "True":
      return "true";
    case "0":
    case "f":
    case "F":
    case "false":
    case "FALSE":
    case "False":
      return "false";
    default:
      return undefined;
  }
}

function parseBoolean(text: string, name: string, rules: ParseRules): string {
  const value = parseGoBoolean(text);
  if (value === undefined) {
    throw new UsageError(
      `invalid boolean value ${JSON.stringify(text)} for flag -${name}: parse error`,
      rules.command,
    );
  }
  return value;
}

/** Counts only: no number option of the command line may be negative. */
function parseNumber(text: string, name: string, rules: ParseRules): string {
  if (!/^\d{1,9}$/.test(text)) {
    throw new UsageError(
      `invalid value ${JSON.stringify(text)} for flag -${name}: parse error`,
      rules.command,
    );
  }
  return text;
}

/** Throws unless the number of arguments is what the command's description says. */
export function checkPositionals(command: string, positionals: Positionals, given: number): void {
  const { min, max } = positionals;
  if (given >= min && given <= max) return;
  const [bound, count] =
    min === max ? ["exactly", min] : given < min ? ["a minimum of", min] : ["a maximum of", max];
  throw new UsageError(
    `${JSON.stringify(command)} requires ${bound} ${count} argument${count === 1 ? "" : "s"}`,
    command,
  );
}
