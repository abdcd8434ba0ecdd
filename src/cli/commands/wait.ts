import type { ContainerEnd } from "../../container/wait.ts";
import { defineCommand } from "../command.ts";
import { writeOutput } from "../output.ts";

/** Neither the code of a failure nor one that a shell or timeout(1) gives. */
const UNKNOWN = 3;

export const waitCommand = defineCommand({
  name: "wait",
  summary: "wait for containers to stop, and print their exit codes",
  positionals: { usage: "<container-id>...", min: 1, max: Infinity },
  options: {},
  description: [
    "Waits until the process of each container has ended, and prints its exit code, or 128 plus the number of the signal that has ended it: one line " +
      "per container, in the order of the arguments. The caller need not be the parent of the process. A created container is waited for through " +
      "its start, a paused one through its resumption. There is no time limit: timeout(1) sets one.",
    "The exit code is noted in the container's record: `state` and `list --format json` show it as exitCode, and a later `wait` prints it again.",
    "Where nobody can tell the exit code, the line is `unknown`, a warning says why, and the exit status is 3. That is so if the process had been " +
      "reaped before the first `wait`, or if it is not reaped yet and the caller may not trace it. Before Linux 6.15 the kernel tells the code only " +
      "until the parent reaps the process.",
  ],
  examples: [
    ["runts wait web", "print the exit code of web when it has stopped"],
    ["runts wait web db", "print both, web's first"],
  ],
  exitStatus: [
    ["0", "all containers have stopped, and their exit codes are printed"],
    ["1", "a container does not exist, or another failure"],
    ["3", "all containers have stopped, and an exit code is unknown"],
  ],
  async run(context, { positionals: ids }) {
    const { waitForContainers } = await import("../../container/wait.ts");
    let code = 0;
    const print = (id: string, end: ContainerEnd): void => {
      if ("unknown" in end) {
        context.log.warn(`the exit code of container ${id} is unknown: ${end.unknown}`);
        code = UNKNOWN;
      }
      writeOutput(`${"unknown" in end ? "unknown" : end.exitCode}\n`);
    };
    waitForContainers(context, ids, print);
    return code;
  },
});
