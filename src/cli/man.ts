import { commands } from "./commands.ts";
import type { RunCommand } from "./description.ts";
import { manualPage } from "./manual-page.ts";
import { writeOutput } from "./output.ts";
import { UsageError } from "./usage-error.ts";

export const run: RunCommand = (_context, args) => {
  const [name] = args.positionals;
  const command = commands.find((candidate) => candidate.name === name);
  if (name !== undefined && command === undefined) throw new UsageError(`man: no command '${name}'`, "man");
  writeOutput(manualPage(command));
  return 0;
};
