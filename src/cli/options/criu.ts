import { absolutePath } from "../../../bindings/linux/paths.ts";
import type { CheckpointOptions, CriuChoices, RestoreOptions } from "../../container/criu/options.ts";
import type { CgroupMode, NetworkLock } from "../../criu/messages.ts";
import { RuntsError } from "../../errors.ts";
import type { ParsedArguments } from "./arguments.ts";

/** The options of `checkpoint`. */
export function checkpointOptionsFrom(args: ParsedArguments): CheckpointOptions {
  const parentPath = args.string("parent-path");
  const pageServer = pageServerOf(args.string("page-server"));
  const statusFd = statusFdOf(args.string("status-fd"));
  return {
    ...choicesFrom(args),
    id: args.positional(0),
    ...(parentPath !== undefined && { parentPath }),
    leaveRunning: args.flag("leave-running"),
    preDump: args.flag("pre-dump"),
    tcpSkipInFlight: args.flag("tcp-skip-in-flight"),
    linkRemap: args.flag("link-remap"),
    ...(pageServer !== undefined && { pageServer }),
    ...(statusFd !== undefined && { statusFd }),
  };
}

export function restoreOptionsFrom(args: ParsedArguments): RestoreOptions {
  const consoleSocket = args.string("console-socket");
  const pidFile = args.string("pid-file");
  const [lsmProfile, lsmMountContext] = [args.string("lsm-profile"), args.string("lsm-mount-context")];
  return {
    ...choicesFrom(args),
    id: args.positional(0),
    bundle: absolutePath(args.string("bundle") ?? "."),
    tcpClose: args.flag("tcp-close"),
    ...(consoleSocket !== undefined && { consoleSocket: absolutePath(consoleSocket) }),
    ...(pidFile !== undefined && { pidFile: absolutePath(pidFile) }),
    detach: args.flag("detach"),
    noSubreaper: args.flag("no-subreaper"),
    ...(lsmProfile !== undefined && { lsmProfile }),
    ...(lsmMountContext !== undefined && { lsmMountContext }),
  };
}

function choicesFrom(args: ParsedArguments): CriuChoices {
  const workPath = args.string("work-path");
  const networkLock = networkLockOf(args.string("network-lock"));
  for (const name of args.list("empty-ns"))
    if (name !== "network") throw invalid(`namespace ${JSON.stringify(name)} is not supported`, name);
  return {
    imagePath: absolutePath(args.string("image-path") ?? "checkpoint"),
    ...(workPath !== undefined && { workPath: absolutePath(workPath) }),
    tcpEstablished: args.flag("tcp-established"),
    extUnixSk: args.flag("ext-unix-sk"),
    shellJob: args.flag("shell-job"),
    fileLocks: args.flag("file-locks"),
    lazyPages: args.flag("lazy-pages"),
    autoDedup: args.flag("auto-dedup"),
    cgroupMode: cgroupModeOf(args.string("manage-cgroups-mode")),
    ...(networkLock !== undefined && { networkLock }),
  };
}

/** The words are runc's. */
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
      throw invalid("invalid manage-cgroups-mode value", mode);
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
      throw invalid("invalid network-lock value", method);
  }
}

function pageServerOf(server: string | undefined): CheckpointOptions["pageServer"] {
  if (server === undefined) return undefined;
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(server);
  const address = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (address !== undefined && port > 0 && port < 0x10000) return { address, port };
  throw invalid("use --page-server ADDRESS:PORT to specify page server", server);
}

/** -1 is none, the default of runc. */
function statusFdOf(text: string | undefined): number | undefined {
  if (text === undefined || text === "-1") return undefined;
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw invalid(`invalid --status-fd argument ${text}: not a descriptor`, text);
}

function invalid(message: string, value: string): RuntsError {
  return new RuntsError(message, { operation: "usage", path: value });
}
