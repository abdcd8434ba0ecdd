import { absolutePath } from "../../../bindings/linux/paths.ts";
import type { RestoreOptions } from "../../container/criu/options.ts";
import { prepareStateRoot } from "../../container/record/state-root.ts";
import { restoreContainer } from "../../container/restore.ts";
import { defineCommand } from "../command.ts";
import { criuChoicesFrom, criuOptions } from "../options/criu.ts";
import type { OptionTable, OptionValues } from "../options/option.ts";
import {
  bundleOption,
  consoleSocketOption,
  detachOption,
  noSubreaperOption,
  oneContainer,
  pidFileOption,
} from "../options/shared-options.ts";

const options = {
  ...criuOptions,
  bundle: bundleOption,
  "console-socket": consoleSocketOption,
  detach: detachOption,
  "pid-file": pidFileOption,
  "no-subreaper": noSubreaperOption,
  "no-pivot": { type: "boolean", description: "accepted for compatibility, without effect" },
  "tcp-close": { type: "boolean", description: "close the TCP connections that were open" },
  "lsm-profile": {
    type: "string",
    description: "label for the processes: apparmor:NAME or selinux:LABEL",
  },
  "lsm-mount-context": { type: "string", description: "SELinux context of the mounts" },
} as const satisfies OptionTable;

export const restoreCommand = defineCommand({
  name: "restore",
  summary: "restore a container from image files",
  positionals: oneContainer,
  options,
  description: [
    "Restores a container from the image files of a checkpoint with criu(8): its processes continue where they were. The bundle must be the " +
      "one that the container had. Pipes, files and terminals of the caller replace those that its standard streams were.",
    "An error message gives the causes from criu's log, and the log's path: restore.log in the work path, or the image path.",
  ],
  examples: [
    ["runts restore --bundle /srv/web --image-path /srv/saved --detach web", "in the background"],
    [
      "runts restore --image-path /srv/saved --tcp-established web",
      "the bundle in the current directory, with its connections",
    ],
  ],
  exitStatus: [
    ["N", "exit code of the container's process"],
    ["1", "the container was not restored"],
  ],
  run(context, args) {
    const restored = restoreOptionsFrom(args.positionals[0], args.options);
    prepareStateRoot(context);
    return restoreContainer(context, restored);
  },
});

export function restoreOptionsFrom(id: string, values: OptionValues<typeof options>): RestoreOptions {
  const { "console-socket": consoleSocket, "pid-file": pidFile } = values;
  const { "lsm-profile": lsmProfile, "lsm-mount-context": lsmMountContext } = values;
  return {
    ...criuChoicesFrom(values),
    id,
    bundle: absolutePath(values.bundle ?? "."),
    tcpClose: values["tcp-close"],
    ...(consoleSocket !== undefined && { consoleSocket: absolutePath(consoleSocket) }),
    ...(pidFile !== undefined && { pidFile: absolutePath(pidFile) }),
    detach: values.detach,
    noSubreaper: values["no-subreaper"],
    ...(lsmProfile !== undefined && { lsmProfile }),
    ...(lsmMountContext !== undefined && { lsmMountContext }),
  };
}
