import { manualPage } from "../help/manual-page.ts";
import type { ParsedArguments } from "../options/arguments.ts";
import type { CommandTable } from "../options/description.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeOutput } from "../output.ts";

/** The table is given: it imports this module. */
export function run(args: ParsedArguments, table: CommandTable): number {
  const [name] = args.positionals;
  const command = table.commands.find((candidate) => candidate.name === name);
  if (name !== undefined && command === undefined) throw new UsageError(`man: no command '${name}'`, "man");
  writeOutput(manualPage(command, table));
  return 0;
}
