import type { GlobalOptions } from "../container/context.ts";
import { checkPositionals, parseArguments } from "./options/arguments.ts";
import type { OptionTable, OptionValues, Positionals, PositionalValues } from "./options/option.ts";
import { helpOption } from "./options/shared-options.ts";

/** The texts of help and man pages beside the options. */
export interface Manual {
  /** Paragraphs. */
  readonly description: readonly string[];
  /** A command line, and what it does. */
  readonly examples: readonly (readonly [commandLine: string, meaning: string])[];
  readonly exitStatus?: readonly (readonly [code: string, meaning: string])[];
}

/** The parts of a command that help, man pages and completions show. */
export interface CommandDescription extends Manual {
  readonly name: string;
  readonly summary: string;
  readonly positionals: Positionals;
  readonly options: OptionTable;
}

/** A command's arguments. Their types follow from the command's tables. */
export interface Arguments<Table extends OptionTable, P extends Positionals> {
  readonly positionals: PositionalValues<P>;
  readonly options: OptionValues<Table>;
}

interface Definition<Table extends OptionTable, P extends Positionals> extends CommandDescription {
  readonly positionals: P;
  /** `--help` is added to them. */
  readonly options: Table;
  /** Exit code of a failure of the runtime itself; 1 when absent. */
  readonly failureCode?: number;
  /** Whether it needs the state directory, which must belong to the caller. True when absent. */
  readonly usesState?: false | ((args: Arguments<Table, P>) => boolean);
  /** Runs the command and returns the exit code. `commands` is the whole list, for commands that print it. */
  run(
    context: GlobalOptions,
    args: Arguments<Table, P>,
    commands: readonly CommandDescription[],
  ): number | Promise<number>;
}

/** A parsed call of a command. */
export interface Invocation<Table extends OptionTable = OptionTable, P extends Positionals = Positionals>
  extends Arguments<Table, P> {
  readonly usesState: boolean;
  run(context: GlobalOptions, commands: readonly CommandDescription[]): number | Promise<number>;
}

export interface Command<Table extends OptionTable = OptionTable, P extends Positionals = Positionals>
  extends CommandDescription {
  readonly failureCode?: number;
  /** Parses the arguments behind the command's name; "help" if they ask for it. Throws a UsageError. */
  parse(argv: readonly string[]): Invocation<Table, P> | "help";
}

/** Makes a command. `args.options` of its `run` has the types of its option table: another name does not compile. */
export function defineCommand<const Table extends OptionTable, const P extends Positionals>(
  definition: Definition<Table, P>,
): Command<Table, P> {
  const { run, usesState, ...described } = definition;
  const { name, positionals } = described;
  return {
    ...described,
    options: { ...described.options, help: helpOption },
    parse(argv) {
      const endOptions = positionals.endOptions === true;
      const parsed = parseArguments(argv, { options: described.options, command: name, endOptions });
      // Before the arguments are checked: `create --help` lacks the id.
      if (parsed.help) return "help";
      const given = parsed.positionals;
      checkPositionals(name, positionals, given);
      const args: Arguments<Table, P> = { positionals: given, options: parsed.options };
      return {
        ...args,
        usesState: typeof usesState === "function" ? usesState(args) : (usesState ?? true),
        run: (context, commands) => run(context, args, commands),
      };
    },
  };
}
