import { resumeContainer } from "../../container/pause.ts";
import { defineCommand } from "../command.ts";
import { oneContainer } from "../options/shared-options.ts";

export const resumeCommand = defineCommand({
  name: "resume",
  summary: "resume all processes of a paused container",
  positionals: oneContainer,
  options: {},
  description: ["Resumes all processes of a paused container."],
  examples: [["runts resume web", "after `runts pause web`"]],
  run(context, { positionals: [id] }) {
    resumeContainer(context, id);
    return 0;
  },
});
