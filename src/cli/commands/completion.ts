import { completionScript, SHELLS } from "../help/completion-script.ts";
import type { ParsedArguments } from "../options/arguments.ts";
import type { CommandTable } from "../options/description.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeOutput } from "../output.ts";

/** The table is given: it imports this module. */
export function run(args: ParsedArguments, table: CommandTable): number {
  const name = args.positional(0);
  const shell = SHELLS.find((each) => each === name);
  if (shell === undefined) {
    throw new UsageError(`completion: ${name} is none of ${SHELLS.join(", ")}`, "completion");
  }
  writeOutput(completionScript(shell, table));
  return 0;
}
