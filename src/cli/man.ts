import type { CommandTable } from "./description.ts";
import { manualPage } from "./manual-page.ts";
import { writeOutput } from "./output.ts";
import type { ParsedArguments } from "./parse.ts";
import { UsageError } from "./usage-error.ts";

/** The table is given: it imports this module. */
export function run(args: ParsedArguments, table: CommandTable): number {
  const [name] = args.positionals;
  const command = table.commands.find((candidate) => candidate.name === name);
  if (name !== undefined && command === undefined) throw new UsageError(`man: no command '${name}'`, "man");
  writeOutput(manualPage(command, table));
  return 0;
}
