import { F_GETFL, O_ACCMODE, O_RDONLY } from "../../../bindings/abi/fcntl.ts";
import { trySyscall } from "../../../bindings/ffi/syscall.ts";
import { type FileStatus, fstatSync } from "../../../bindings/linux/file-status.ts";
import { readFileSync } from "../../../bindings/linux/files.ts";
import { effectiveGid, effectiveUid, environment, ownPid } from "../../../bindings/linux/own-process.ts";
import { terminalSettings } from "../../../bindings/linux/terminal.ts";
import { RuntsError } from "../../errors.ts";
import type { DescriptorRange } from "../../plan/process/exec.ts";
import type { StandardStreams, StdioFacts } from "../../plan/process/stdio.ts";
import { lacksMappings, withDefaultMappings } from "../../spec/default-mappings.ts";
import type { Config } from "../../spec/types.ts";

/** Properties of the calling process that a container inherits, or that decide what the caller may do. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  /** Root in its user namespace. */
  readonly privileged: boolean;
  /** Whether its user namespace is another one than the host's first. */
  readonly inUserNamespace: boolean;
  /** Permitted capabilities as a bit set. */
  readonly permitted: bigint;
  readonly lastCapability: number;
  readonly canSetGroups: boolean;
  readonly ignoredSignals: readonly number[];
}

export function inspectCaller(): Caller {
  const status = readFileSync("/proc/self/status", "latin1");
  const uid = effectiveUid();
  return {
    uid,
    gid: effectiveGid(),
    privileged: uid === 0,
    inUserNamespace: !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "latin1")),
    permitted: BigInt(`0x${/^CapPrm:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`),
    lastCapability: Number(readFileSync("/proc/sys/kernel/cap_last_cap", "latin1")),
    canSetGroups: uid === 0 && readFileSync("/proc/self/setgroups", "latin1").trim() === "allow",
    ignoredSignals: signalsOf(BigInt(`0x${/^SigIgn:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`)),
  };
}

/** A config without the mappings that its user namespace needs gets the caller's own ids. */
export function mappedConfig(warn: (message: string) => void, config: Config, known?: Caller): Config {
  if (!lacksMappings(config.linux)) return config;
  const caller = known ?? inspectCaller();
  const ids = `${caller.uid}:${caller.gid}`;
  warn(
    `/linux/uidMappings: a new user namespace has none: the caller's own ids, ${ids}, are those of its root`,
  );
  return withDefaultMappings(config, caller);
}

/** A signal set as procfs shows it: bit 0 is signal 1. */
function signalsOf(set: bigint): number[] {
  const signals: number[] = [];
  for (let rest = set, signal = 1; rest !== 0n; rest >>= 1n, signal++) {
    if ((rest & 1n) === 1n) signals.push(signal);
  }
  return signals;
}

/** Whether missing rights on cgroups are tolerated: as `--rootless` says, or by the user for `auto`. */
export function isRootless(mode: "true" | "false" | "auto", caller: Caller): boolean {
  return mode === "auto" ? !caller.privileged || caller.inUserNamespace : mode === "true";
}

/**
 * Chooses the systemd that makes scopes: the host's for the host's root, the user's for any other user. For the root of a user namespace it is
 * the user's, too, unless `USER=root` tells that this is the root of a container, which may have a systemd of its own.
 */
export function managerOf(caller: Caller): "system" | "user" {
  if (!caller.privileged) return "user";
  const hasUserBus = Boolean(environment("DBUS_SESSION_BUS_ADDRESS") || environment("XDG_RUNTIME_DIR"));
  return caller.inUserNamespace && hasUserBus && environment("USER") !== "root" ? "user" : "system";
}

/**
 * Returns the limit of open files that the caller had: the engine has raised the soft one since. The launcher notes it in the
 * environment. undefined if the launcher hasn't started the runtime.
 */
export function inheritedNofile(): { readonly soft: bigint; readonly hard: bigint } | undefined {
  const match = /^(\d+):(\d+)$/.exec(environment("RUNTS_NOFILE") ?? "");
  return match === null ? undefined : { soft: BigInt(match[1] ?? 0), hard: BigInt(match[2] ?? 0) };
}

/** The socket of the caller's service manager: sd_notify(3). */
export function callersNotifySocket(): string | undefined {
  return environment("NOTIFY_SOCKET") || undefined;
}

const DEV_NULL_RDEV = 0x103;

/** Finds the standard streams that are /dev/null of the host, those that change their owner, and those that are pipes. */
export function stdioFacts(
  terminal: boolean,
  uid: number,
  streams: StandardStreams = [0, 1, 2],
): StdioFacts & { readonly pipes: readonly string[] | undefined } {
  const nulls: number[] = [];
  const chown: number[] = [];
  const pipes = ["", "", ""];
  for (const fd of terminal ? [] : [0, 1, 2]) {
    const stream = streams[fd] ?? fd;
    let stat: FileStatus;
    try {
      stat = fstatSync(stream);
    } catch {
      continue; // closed
    }
    if (stat.isCharacterDevice() && stat.rdev === DEV_NULL_RDEV) nulls.push(fd);
    else if (stat.uid !== uid && mayGiveAway(stream, stat)) chown.push(fd);
    if (stat.isFIFO()) pipes[fd] = `pipe:[${stat.ino}]`;
  }
  return {
    nulls,
    chown: terminal ? [0] : chown,
    pipes: pipes.some((name) => name !== "") ? pipes : undefined,
  };
}

/**
 * Whether the container's user may become the owner of a stream. Owners can give themselves any right to a file, and stay owners when
 * the container has gone. So the caller keeps a file that the container may only read, and a device that others use as well: any but a terminal.
 */
function mayGiveAway(stream: number, stat: FileStatus): boolean {
  if (stat.isFIFO()) return true;
  if (stat.isFile()) return (trySyscall("fcntl", stream, F_GETFL) & O_ACCMODE) !== O_RDONLY;
  return stat.isCharacterDevice() && terminalSettings(stream) !== undefined;
}

/** Descriptors after stdio that the caller hands to the container, and variables that tell the container of them. */
export interface PreservedFds {
  /** The number of descriptors, from 3 on. */
  readonly count: number;
  /** Numbers among them that the caller has closed: the launcher reserves them. */
  readonly gaps: readonly DescriptorRange[];
  /** Additions to the environment. */
  readonly env: readonly string[];
}

/**
 * Descriptors of --preserve-fds, which come after the sockets of socket activation. The launcher has counted what is open, before
 * the engine opened its own descriptors, and has filled the gaps; of the sockets none may be missing. `activated` says whether the
 * process is one that sockets may be meant for: init, as pid 1 of its namespace, and nobody whom `exec` starts (sd_listen_fds(3)).
 */
export function preservedFds(preserved: number, activated: boolean): PreservedFds {
  const counted = environment("RUNTS_FDS");
  // Without the launcher this is another program's process, whose sockets are its own.
  const listening = activated && counted !== undefined ? listeningSockets() : 0;
  const count = listening + preserved;
  const open = Number(counted ?? "0");
  const closedOnes = environment("RUNTS_GAPS");
  const gaps = closedOnes === undefined ? [] : gapsBelow(3 + count, closedOnes);
  const closed = gaps[0]?.first ?? 3 + open;
  if (closed < 3 + listening) throw notOpen(`LISTEN_FDS=${listening}`, closed);
  if (count > open) throw notOpen(`--preserve-fds ${preserved}`, closed, NO_GAPS);
  const socketNames = environment("LISTEN_FDNAMES");
  const names = socketNames === undefined ? [] : [`LISTEN_FDNAMES=${socketNames}`];
  return { count, gaps, env: listening === 0 ? [] : [`LISTEN_FDS=${listening}`, "LISTEN_PID=1", ...names] };
}

/** Sockets of socket activation that are meant for this process: sd_listen_fds(3). */
function listeningSockets(): number {
  const count = environment("LISTEN_FDS") ?? "";
  return /^\d+$/.test(count) && environment("LISTEN_PID") === String(ownPid()) ? Number(count) : 0;
}

/** Added where the launcher does not fill gaps: MOST_HANDED, FIRST_HANDED and RESERVE in launcher.c. */
const NO_GAPS = "; it would be left out if the number were at most 1024, and RLIMIT_NOFILE at least 68 more";

function notOpen(given: string, fd: number, condition = ""): RuntsError {
  const message = `${given}: file descriptor ${fd} is not open${condition}`;
  return new RuntsError(message, { operation: "fcntl", errno: "EBADF", path: String(fd) });
}

/** Ranges as the launcher names them, `<first>-<last>,…`, as far as they are below `end`. */
function gapsBelow(end: number, ranges: string): DescriptorRange[] {
  return ranges
    .split(",")
    .map((range) => {
      const [first = 0, last = 0] = range.split("-").map(Number);
      return { first, last: Math.min(last, end - 1) };
    })
    .filter(({ first }) => first < end);
}
