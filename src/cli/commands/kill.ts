import { killContainer } from "../../container/kill.ts";
import { listContainers } from "../../container/record/status.ts";
import { defineCommand } from "../command.ts";
import { forEachMatch, regexOption } from "../matching-containers.ts";

export const killCommand = defineCommand({
  name: "kill",
  summary: "send a signal to the container's init process",
  positionals: { usage: "<container-id> [signal]", min: 1, max: 2 },
  options: {
    all: { alias: "a", type: "boolean", description: "succeed also if the container has stopped" },
    regex: regexOption,
  },
  description: [
    "Sends a signal, by default SIGTERM, to the container's init process: through a pidfd, so that no other process that reuses its pid gets it.",
    "SIGKILL goes to all processes of the container, also to those that outlive init in a shared pid namespace.",
  ],
  examples: [
    ["runts kill web", "ask it to exit"],
    ["runts kill web KILL", "kill it; SIGKILL and 9 are the same"],
  ],
  run(context, { positionals: [id, signal = "SIGTERM"], options }) {
    const kill = (each: string) => killContainer(context, each, signal, { all: options.all });
    if (options.regex) return forEachMatch(listContainers(context), id, context.log, kill);
    kill(id);
    return 0;
  },
});
