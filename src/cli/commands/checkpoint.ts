import { checkpointContainer } from "../../container/checkpoint.ts";
import type { CheckpointOptions } from "../../container/criu/options.ts";
import { defineCommand } from "../command.ts";
import { criuChoicesFrom, criuOptions, invalidOption } from "../options/criu.ts";
import type { OptionTable, OptionValues } from "../options/option.ts";
import { oneContainer } from "../options/shared-options.ts";

const options = {
  ...criuOptions,
  "parent-path": {
    type: "string",
    isPath: true,
    description: "directory of an earlier pre-dump, relative to that of the images",
  },
  "leave-running": { type: "boolean", description: "keep the container running" },
  "pre-dump": {
    type: "boolean",
    description:
      "save the memory only, for a later checkpoint with --parent-path; the container keeps running",
  },
  "page-server": { type: "string", description: "ADDRESS:PORT to send memory pages to" },
  "status-fd": {
    type: "string",
    description: "file descriptor that gets a NUL byte when lazy pages can be fetched",
  },
  "tcp-skip-in-flight": {
    type: "boolean",
    description: "skip TCP connections that are still being established",
  },
  "link-remap": { type: "boolean", description: "allow open files that are deleted" },
} as const satisfies OptionTable;

export const checkpointCommand = defineCommand({
  name: "checkpoint",
  summary: "save a running container with criu",
  positionals: oneContainer,
  options,
  description: [
    "Saves all processes of a running container to image files with criu(8), which must be installed: their memory, their open files, the " +
      "programs they run. The container is stopped and deleted then, unless --leave-running is given. Bind mounts and namespaces that are " +
      "joined by path are not saved: they must exist when the container is restored.",
    "An error message gives the causes from criu's log, and the log's path: dump.log in the work path, or the image path.",
  ],
  examples: [
    ["runts checkpoint --image-path /srv/saved web", "save and stop it"],
    [
      "runts checkpoint --image-path /srv/saved --leave-running --tcp-established web",
      "save it with its connections, and keep it running",
    ],
    ["runts checkpoint --image-path /srv/saved/1 --pre-dump web", "save its memory beforehand"],
    ["runts checkpoint --image-path /srv/saved/2 --parent-path ../1 web", "save the rest, and stop it"],
  ],
  run(context, args) {
    checkpointContainer(context, checkpointOptionsFrom(args.positionals[0], args.options));
    return 0;
  },
});

export function checkpointOptionsFrom(id: string, values: OptionValues<typeof options>): CheckpointOptions {
  const { "parent-path": parentPath } = values;
  const pageServer = pageServerOf(values["page-server"]);
  const statusFd = statusFdOf(values["status-fd"]);
  return {
    ...criuChoicesFrom(values),
    id,
    ...(parentPath !== undefined && { parentPath }),
    leaveRunning: values["leave-running"],
    preDump: values["pre-dump"],
    tcpSkipInFlight: values["tcp-skip-in-flight"],
    linkRemap: values["link-remap"],
    ...(pageServer !== undefined && { pageServer }),
    ...(statusFd !== undefined && { statusFd }),
  };
}

function pageServerOf(server: string | undefined): CheckpointOptions["pageServer"] {
  if (server === undefined) return undefined;
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(server);
  const address = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (address !== undefined && port > 0 && port < 0x10000) return { address, port };
  throw invalidOption("use --page-server ADDRESS:PORT to specify page server", server);
}

/** -1 stands for no descriptor: runc's default. */
function statusFdOf(text: string | undefined): number | undefined {
  if (text === undefined || text === "-1") return undefined;
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw invalidOption(`invalid --status-fd argument ${text}: not a descriptor`, text);
}
