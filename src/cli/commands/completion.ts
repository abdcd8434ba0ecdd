import { defineCommand } from "../command.ts";
import { completionScript, SHELLS } from "../help/completion-script.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeOutput } from "../output.ts";

export const completionCommand = defineCommand({
  name: "completion",
  summary: "print a completion script for a shell",
  positionals: { usage: "bash|zsh|fish", min: 1, max: 1 },
  options: {},
  usesState: false,
  description: ["Prints a script that completes commands, options, container ids and signals in a shell."],
  examples: [
    ["runts completion bash > /etc/bash_completion.d/runts", "for bash; or . <(runts completion bash)"],
    ["runts completion zsh > /usr/local/share/zsh/site-functions/_runts", "for zsh"],
    ["runts completion fish > /etc/fish/completions/runts.fish", "for fish"],
  ],
  run(_context, { positionals: [name] }, commands) {
    const shell = SHELLS.find((each) => each === name);
    if (shell === undefined) {
      throw new UsageError(`completion ${JSON.stringify(name)}: must be bash, zsh or fish`, "completion");
    }
    writeOutput(completionScript(shell, commands));
    return 0;
  },
});
