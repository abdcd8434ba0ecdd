import { createContainer } from "../../container/create.ts";
import { prepareStateRoot } from "../../container/record/state-root.ts";
import { defineCommand } from "../command.ts";
import { configPath, createOptionsFrom, recordOptionsFrom } from "../options/create-options.ts";
import { createOptions, oneContainer, recordDescription, recordOptions } from "../options/shared-options.ts";
import { withProfile } from "../with-profile.ts";

type CreateRecorded = typeof import("../../container/seccomp/record/recording.ts").createRecorded;

export const createCommand = defineCommand({
  name: "create",
  summary: "create a container without starting it",
  positionals: oneContainer,
  options: {
    ...createOptions,
    ...recordOptions,
    "no-subreaper": { type: "boolean", description: "accepted for compatibility, without effect" },
  },
  description: [
    "Creates a container: its namespaces, its cgroup, its mounts, and an init process that waits for `start`. Runs the prestart, createRuntime " +
      "and createContainer hooks. Standard input, output and error become those of the container's process.",
    recordDescription,
  ],
  examples: [
    ["runts create --bundle /srv/web --pid-file /run/web.pid web", "as an engine does it"],
    [
      "runts create --bundle /srv/web --profile /tmp/trace.json web",
      "write the time of each system call, for Perfetto",
    ],
    [
      "runts create --bundle /srv/web --console-socket /run/console.sock web",
      "send the master end of the terminal to the socket",
    ],
  ],
  run(context, { positionals: [id], options }) {
    const given = createOptionsFrom(id, options);
    const record = recordOptionsFrom("create", options);
    prepareStateRoot(context);
    return withProfile({ command: "create", container: id, config: () => configPath(given) }, options, () => {
      if (record !== undefined) return createRecorded(context, given, record);
      createContainer(context, given);
      return 0;
    });
  },
});

async function createRecorded(...given: Parameters<CreateRecorded>): Promise<number> {
  const recording = await import("../../container/seccomp/record/recording.ts");
  recording.createRecorded(...given);
  return 0;
}
