import type { CommandTable, RunCommand } from "./description.ts";
import { manualPage } from "./manual-page.ts";
import { writeOutput } from "./output.ts";
import { UsageError } from "./usage-error.ts";

/** The table is given, since it leads here itself. */
export const runWith =
  (table: CommandTable): RunCommand =>
  (_context, args) => {
    const [name] = args.positionals;
    const command = table.commands.find((candidate) => candidate.name === name);
    if (name !== undefined && command === undefined) throw new UsageError(`man: no command '${name}'`, "man");
    writeOutput(manualPage(command, table));
    return 0;
  };
