import { completionScript, SHELLS } from "./completion-script.ts";
import type { CommandTable, RunCommand } from "./description.ts";
import { writeOutput } from "./output.ts";
import { UsageError } from "./usage-error.ts";

/** The table is given, since it leads here itself. */
export const runWith =
  (table: CommandTable): RunCommand =>
  (_context, args) => {
    const name = args.positional(0);
    const shell = SHELLS.find((each) => each === name);
    if (shell === undefined) {
      throw new UsageError(`completion: ${name} is none of ${SHELLS.join(", ")}`, "completion");
    }
    writeOutput(completionScript(shell, table));
    return 0;
  };
