import { pauseContainer } from "../../container/pause.ts";
import { defineCommand } from "../command.ts";
import { oneContainer } from "../options/shared-options.ts";

export const pauseCommand = defineCommand({
  name: "pause",
  summary: "suspend all processes of a container",
  positionals: oneContainer,
  options: {},
  description: ["Suspends all processes of a container with the freezer of its cgroup."],
  examples: [["runts pause web", "until `runts resume web`"]],
  run(context, { positionals: [id] }) {
    pauseContainer(context, id);
    return 0;
  },
});
