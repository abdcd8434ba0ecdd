import { completionScript, SHELLS } from "./completion-script.ts";
import type { RunCommand } from "./description.ts";
import { writeOutput } from "./output.ts";
import { UsageError } from "./usage-error.ts";

export const run: RunCommand = (_context, args) => {
  const name = args.positional(0);
  const shell = SHELLS.find((each) => each === name);
  if (shell === undefined) {
    throw new UsageError(`completion: ${name} is none of ${SHELLS.join(", ")}`, "completion");
  }
  writeOutput(completionScript(shell));
  return 0;
};
