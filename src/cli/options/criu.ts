import { absolutePath } from "../../../bindings/linux/paths.ts";
import type { CriuChoices } from "../../container/criu/options.ts";
import type { CgroupMode, NetworkLock } from "../../criu/messages.ts";
import { RuntsError } from "../../errors.ts";
import type { OptionTable, OptionValues } from "./option.ts";

/** The options that `checkpoint` and `restore` share. */
export const criuOptions = {
  "image-path": {
    type: "string",
    isPath: true,
    description: "directory of criu's image files [default: checkpoint in the current directory]",
  },
  "work-path": {
    type: "string",
    isPath: true,
    description: "directory for criu's work files and log [default: that of the images]",
  },
  "tcp-established": { type: "boolean", description: "allow open TCP connections" },
  "ext-unix-sk": { type: "boolean", description: "allow Unix sockets whose other end is outside" },
  "shell-job": { type: "boolean", description: "allow the container to use the caller's terminal" },
  "lazy-pages": { type: "boolean", description: "leave memory pages behind, and fetch them on demand" },
  "file-locks": { type: "boolean", description: "allow file locks" },
  "manage-cgroups-mode": {
    type: "string",
    description: "how criu treats cgroups: soft, full, strict or ignore [default: soft]",
  },
  "empty-ns": {
    type: "list",
    description: "create a namespace without its contents: network, which is always done",
  },
  "auto-dedup": { type: "boolean", description: "free duplicate memory pages in the images" },
  "network-lock": {
    type: "string",
    description: "how to block the network meanwhile: iptables, nftables or skip [default: criu's]",
  },
} as const satisfies OptionTable;

export function criuChoicesFrom(options: OptionValues<typeof criuOptions>): CriuChoices {
  const { "work-path": workPath } = options;
  const networkLock = networkLockOf(options["network-lock"]);
  for (const name of options["empty-ns"])
    if (name !== "network") throw invalidOption(`namespace ${JSON.stringify(name)} is not supported`, name);
  return {
    imagePath: absolutePath(options["image-path"] ?? "checkpoint"),
    ...(workPath !== undefined && { workPath: absolutePath(workPath) }),
    tcpEstablished: options["tcp-established"],
    extUnixSk: options["ext-unix-sk"],
    shellJob: options["shell-job"],
    fileLocks: options["file-locks"],
    lazyPages: options["lazy-pages"],
    autoDedup: options["auto-dedup"],
    cgroupMode: cgroupModeOf(options["manage-cgroups-mode"]),
    ...(networkLock !== undefined && { networkLock }),
  };
}

/** The modes have runc's names. */
function cgroupModeOf(mode: string | undefined): CgroupMode {
  switch (mode) {
    case undefined:
      return "";
    case "soft":
    case "full":
    case "strict":
    case "ignore":
      return mode;
    default:
      throw invalidOption("invalid manage-cgroups-mode value", mode);
  }
}

function networkLockOf(method: string | undefined): NetworkLock | undefined {
  switch (method) {
    case undefined:
    case "iptables":
    case "nftables":
    case "skip":
      return method;
    default:
      throw invalidOption("invalid network-lock value", method);
  }
}

export function invalidOption(message: string, value: string): RuntsError {
  return new RuntsError(message, { operation: "usage", path: value });
}
