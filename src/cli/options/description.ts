import type { GlobalOptions } from "../../container/context.ts";
import type { Operations } from "../operations.ts";
import type { ParsedArguments } from "./arguments.ts";
import type { OptionDescription, Positionals } from "./option.ts";

/** Runs one command and gives the exit code. */
export type RunCommand = (
  context: GlobalOptions,
  args: ParsedArguments,
  operations: Operations,
) => number | Promise<number>;

export interface CommandDescription {
  readonly name: string;
  readonly summary: string;
  readonly positionals: Positionals;
  readonly options: readonly OptionDescription[];
  /** Exit code of a failure of the runtime itself; 1 when absent. */
  readonly failureCode?: number;
  /** Whether it needs a directory of containers' state, and so one that belongs to the caller; always when absent. */
  usesState?(args: ParsedArguments): boolean;
  readonly run: RunCommand;
}

/** The whole command line. */
export interface CommandTable {
  readonly commands: readonly CommandDescription[];
  readonly globalOptions: readonly OptionDescription[];
}
