import type {
  Option,
  OptionTable,
  OptionValue,
  OptionValues,
  Positionals,
  PositionalValues,
} from "./option.ts";
import { helpOption } from "./shared-options.ts";
import { UsageError } from "./usage-error.ts";

export interface ParseRules<Table extends OptionTable> {
  readonly options: Table;
  /** The command that the arguments belong to; absent for the global options, which end at the command's name. */
  readonly command?: string;
  /** The first argument ends the options, as it does for the global ones. */
  readonly endOptions?: boolean;
}

export interface ParsedArguments<Table extends OptionTable> {
  readonly positionals: readonly string[];
  readonly options: OptionValues<Table>;
  /** Whether `--help` or `-h` was given: each level has it. */
  readonly help: boolean;
}

/**
 * Parses one level of the command line, in the syntax of Go's flag package, which engines use: one or two dashes, `--name=value` or
 * `--name value` (whatever the value looks like), booleans as `--name` or `--name=false`, `--` as the end of options.
 *
 * Not yargs-parser: it has neither one-dash names, nor unknown options as errors, nor values that begin with a dash, so every
 * token would have to be looked up in the table first anyway; and it takes 2 ms of 8 to load in the compiled program (5 by its
 * Node entry), this file 0.3.
 */
export function parseArguments<const Table extends OptionTable>(
  argv: readonly string[],
  rules: ParseRules<Table>,
): ParsedArguments<Table> {
  const known: OptionTable = { ...rules.options, help: helpOption };
  const texts = new Map<string, string>();
  const lists = new Map<string, string[]>();
  const positionals: string[] = [];
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
    const { given, value } = splitOption(token);
    const [name, option] = findOption(known, given, rules.command);
    if (option.type === "boolean") {
      texts.set(name, parseBoolean(value ?? "true", name, rules.command));
      continue;
    }
    const text = value ?? argv[++index];
    if (text === undefined) throw new UsageError(`flag needs an argument: -${given}`, rules.command);
    if (option.type === "list") {
      lists.set(name, [...(lists.get(name) ?? []), text]);
      continue;
    }
    texts.set(name, option.type === "number" ? parseNumber(text, name, rules.command) : text);
  }
  const values: Record<string, OptionValue<Option>> = {};
  for (const [name, option] of Object.entries(rules.options))
    values[name] = optionValue(option, texts.get(name), lists.get(name));
  if (!hasValues(values, rules.options)) throw new Error("an option has no value");
  return { positionals, options: values, help: texts.get("help") === "true" };
}

function optionValue(
  option: Option,
  given: string | undefined,
  list: readonly string[] | undefined,
): OptionValue<Option> {
  const text = given ?? option.default;
  switch (option.type) {
    case "boolean":
      return text === undefined && option.tristate === true ? undefined : text === "true";
    case "number":
      return Number(text ?? 0);
    case "list":
      return list ?? [];
    case "string":
      return option.default === undefined ? text || undefined : text;
  }
}

/** Whether there is a value for each option. `optionValue` gives each the type that its description asks for. */
function hasValues<Table extends OptionTable>(
  values: Readonly<Record<string, OptionValue<Option>>>,
  table: Table,
): values is OptionValues<Table> {
  return Object.keys(table).every((name) => Object.hasOwn(values, name));
}

/** `-` and negative numbers (`kill ID -9`) are arguments. */
function isOption(token: string): boolean {
  return token.length > 1 && token.startsWith("-") && !/^-\d+$/.test(token);
}

function splitOption(token: string): { given: string; value: string | undefined } {
  const body = token.slice(token.startsWith("--") ? 2 : 1);
  const equals = body.indexOf("=");
  return equals < 0
    ? { given: body, value: undefined }
    : { given: body.slice(0, equals), value: body.slice(equals + 1) };
}

function findOption(
  table: OptionTable,
  given: string,
  command: string | undefined,
): readonly [name: string, option: Option] {
  const found = Object.entries(table).find(([name, { alias }]) => name === given || alias === given);
  if (found === undefined) throw new UsageError(`flag provided but not defined: -${given}`, command);
  return found;
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

function parseBoolean(text: string, name: string, command: string | undefined): string {
  const value = parseGoBoolean(text);
  if (value === undefined) {
    throw new UsageError(
      `invalid boolean value ${JSON.stringify(text)} for flag -${name}: parse error`,
      command,
    );
  }
  return value;
}

/** Counts only: no number option of the command line may be negative. */
function parseNumber(text: string, name: string, command: string | undefined): string {
  if (!/^\d{1,9}$/.test(text)) {
    throw new UsageError(`invalid value ${JSON.stringify(text)} for flag -${name}: parse error`, command);
  }
  return text;
}

/** Throws unless there are as many arguments as the command takes. */
export function checkPositionals<P extends Positionals>(
  command: string,
  positionals: P,
  given: readonly string[],
): asserts given is PositionalValues<P> {
  const { min, max } = positionals;
  if (given.length >= min && given.length <= max) return;
  const [bound, count] =
    min === max ? ["exactly", min] : given.length < min ? ["a minimum of", min] : ["a maximum of", max];
  throw new UsageError(
    `${JSON.stringify(command)} requires ${bound} ${count} argument${count === 1 ? "" : "s"}`,
    command,
  );
}
