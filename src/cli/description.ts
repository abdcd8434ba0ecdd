import type { Context } from "../container/options.ts";
import type { Operations } from "./operations.ts";
import type { ParsedArguments } from "./parse.ts";

/** One option, for the parser and for the help. */
export interface OptionDescription {
  readonly name: string;
  /** One letter. */
  readonly alias?: string;
  readonly type: "string" | "boolean" | "number";
  readonly description: string;
  /** Shown in the help, and the value when the option is absent. */
  readonly default?: string;
}

/** How many arguments stand beside the options, and how the help names them. */
export interface Positionals {
  readonly usage: string;
  readonly min: number;
  readonly max: number;
}

/** Runs one command and gives the exit code. */
export type RunCommand = (
  context: Context,
  args: ParsedArguments,
  operations: Operations,
) => number | Promise<number>;

export interface CommandDescription {
  readonly name: string;
  readonly summary: string;
  readonly positionals: Positionals;
  readonly options: readonly OptionDescription[];
  /** Loads the code of this command alone. */
  load(): Promise<RunCommand>;
}
