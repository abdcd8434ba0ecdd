import { savedConfigPath } from "../../container/record/saved-state.ts";
import { startContainer } from "../../container/start.ts";
import { defineCommand } from "../command.ts";
import { oneContainer, profileOptions } from "../options/shared-options.ts";
import { withProfile } from "../with-profile.ts";

export const startCommand = defineCommand({
  name: "start",
  summary: "start the process of a created container",
  positionals: oneContainer,
  options: profileOptions,
  description: [
    "Lets the init of a created container execute the container's process. The startContainer hooks run before it, the poststart hooks after it. " +
      "If one of them fails, the container is destroyed and its poststop hooks run.",
  ],
  examples: [["runts start web", "after `runts create web`"]],
  run(context, { positionals: [id], options }) {
    return withProfile(
      { command: "start", container: id, config: () => savedConfigPath(context.root, id) },
      options,
      async () => {
        await startContainer(context, id, { notify: "until ready" });
        return 0;
      },
    );
  },
});
