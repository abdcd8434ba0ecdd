import { completionScript, SHELLS } from "./completion-script.ts";
import type { CommandTable } from "./description.ts";
import { writeOutput } from "./output.ts";
import type { ParsedArguments } from "./parse.ts";
import { UsageError } from "./usage-error.ts";

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
