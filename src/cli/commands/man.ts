import { defineCommand } from "../command.ts";
import { manualPage, programPage } from "../help/manual-page.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeOutput } from "../output.ts";

export const manCommand = defineCommand({
  name: "man",
  summary: "print a manual page",
  positionals: { usage: "[command]", min: 0, max: 1 },
  options: {},
  usesState: false,
  description: ["Prints the manual page of a command, or of the whole program, for man(1)."],
  examples: [
    ["runts man | man -l -", "read it"],
    ["runts man exec > /usr/local/share/man/man8/runts-exec.8", "install it"],
  ],
  run(_context, { positionals: [name] }, commands) {
    const command = commands.find((candidate) => candidate.name === name);
    if (name !== undefined && command === undefined) throw new UsageError(`man: no command '${name}'`, "man");
    writeOutput(command === undefined ? programPage(commands) : manualPage(command));
    return 0;
  },
});
