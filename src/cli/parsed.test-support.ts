import type { Command, Invocation } from "./command.ts";
import type { OptionTable, Positionals } from "./options/option.ts";

/** A command's arguments and options, parsed from a command line that does not ask for help. */
export function parsed<Table extends OptionTable, P extends Positionals>(
  command: Command<Table, P>,
  ...argv: string[]
): Invocation<Table, P> {
  const invocation = command.parse(argv);
  if (invocation === "help") throw new Error("the command line asks for help");
  return invocation;
}
