import { shownName } from "../../bindings/abi/c-string.ts";
import { errnoName } from "../../bindings/abi/errno.ts";
import { SIGKILL } from "../../bindings/abi/signal.ts";
import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { trySyscall } from "../../bindings/ffi/syscall.ts";
import { rmdirSync, subdirectories, walkTree } from "../../bindings/linux/directories.ts";
import { statfsSync } from "../../bindings/linux/file-status.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { absolutePath } from "../../bindings/linux/paths.ts";
import { pidfdOpen, pidfdSendSignal } from "../../bindings/linux/pidfd.ts";
import { sleep } from "../../bindings/linux/sleep.ts";
import { SyscallError } from "../../bindings/syscall-error.ts";
import { errorCode, RuntsError } from "../errors.ts";
import {
  CGROUP_MOUNT,
  CGROUP2_SUPER_MAGIC,
  cgroupName,
  describeErrno,
  describeProcesses,
  isZombie,
  processesOf,
  writeCgroupFile,
} from "./files.ts";

/** Killed processes leave their cgroup when they have exited, which may take a while (core dumps, unmounting). */
const REMOVE_TIMEOUT_MS = 10_000;
const MAX_PAUSE_MS = 50;

/**
 * Sends SIGKILL to every process of the cgroup and its descendants, frozen ones too, and does not wait until they have exited. A cgroup
 * that does not exist is fine. The root cgroup has neither cgroup.kill nor cgroup.freeze, so it can't be killed.
 */
export function killCgroup(directory: string): void {
  const purpose = `kill all processes of the cgroup ${cgroupName(directory)}`;
  withPurpose("/linux/cgroupsPath", purpose, () => killAll(directory));
}

function killAll(directory: string): void {
  try {
    writeCgroupFile(directory, "cgroup.kill", "1");
  } catch (error) {
    const errno = errorCode(error);
    if (errno === "ENODEV") return;
    // cgroup.kill exists since 5.14, and does not work in a threaded cgroup (EOPNOTSUPP).
    if (errno !== "ENOENT" && errno !== "EOPNOTSUPP" && errno !== "ENOTSUP")
      throw cgroupError("kill", directory, error);
    killFrozen(directory);
    return;
  }
  killLeaderless(directory);
}

/**
 * Kills processes whose main thread has exited while others run on: cgroup.kill signals the exited thread instead of the process
 * (Linux 6.18). All other processes of the cgroup are dying already.
 */
function killLeaderless(directory: string): void {
  const opened = new Map<number, number>();
  try {
    for (const pid of processesOf(directory)) {
      const pidfd = isZombie(pid) ? pidfdOpen(pid) : undefined;
      if (pidfd !== undefined) opened.set(pid, pidfd);
    }
    if (opened.size === 0) return;
    // Pids may be reused, but one that is still listed is in this cgroup, so no process outside of it is killed.
    for (const pid of processesOf(directory)) {
      const pidfd = opened.get(pid);
      if (pidfd !== undefined) pidfdSendSignal(pidfd, SIGKILL);
    }
  } finally {
    for (const pidfd of opened.values()) closeSync(pidfd);
  }
}

/** Freezes the cgroup, so that nothing can fork between the listing and the signals. SIGKILL ends frozen processes too. */
function killFrozen(directory: string): void {
  if (!tryFreeze(directory, "1")) return;
  for (const pid of processesOf(directory)) {
    // A process outside of our pid namespace is listed as 0, which kill(2) takes for our own process group.
    if (pid <= 1) continue;
    const result = trySyscall("kill", pid, SIGKILL);
    const errno = errnoName(-result);
    if (result < 0 && errno !== "ESRCH")
      throw cgroupError("kill", directory, new SyscallError("kill", errno, [String(pid)]));
  }
  tryFreeze(directory, "0");
}

/** False if the cgroup or the freezer does not exist. */
function tryFreeze(directory: string, frozen: "0" | "1"): boolean {
  try {
    writeCgroupFile(directory, "cgroup.freeze", frozen);
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENODEV") return false;
    throw cgroupError("freeze", directory, error);
  }
}

/**
 * Removes the cgroup and its descendants, after killing the processes left in them. A cgroup that does not exist is fine. One that is
 * not empty is left as it is unless `mayKill` returns true. Throws EBUSY if a process survives for ten seconds.
 */
export function removeCgroup(directory: string, mayKill: () => boolean = () => true): void {
  const purpose = `remove the cgroup ${cgroupName(directory)}`;
  withPurpose("/linux/cgroupsPath", purpose, () => removeTree(directory, mayKill));
}

function removeTree(directory: string, mayKill: () => boolean): void {
  if (!isRemovable(directory)) return;
  if (tryRemove(directory) || !mayKill()) return;
  // Usually init was killed just now and is still exiting; otherwise the container has created its own cgroups.
  const limit = performance.now() + REMOVE_TIMEOUT_MS;
  for (let pause = 0.25; ; pause = Math.min(pause * 1.5, MAX_PAUSE_MS)) {
    killCgroup(directory);
    removeChildren(directory);
    if (tryRemove(directory)) return;
    if (performance.now() > limit) throw busyError(directory);
    sleep(pause);
  }
}

/**
 * Whether the cgroup exists. Throws for anything but a cgroup below the root of the cgroup2 mount: the path may come from a damaged
 * or forged state file.
 */
function isRemovable(directory: string): boolean {
  let type: number;
  try {
    type = statfsSync(directory).type;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw cgroupError("statfs", directory, error);
  }
  const below = directory.startsWith(`${CGROUP_MOUNT}/`) && absolutePath(directory) === directory;
  if (type === CGROUP2_SUPER_MAGIC && below) return true;
  throw new RuntsError(`refusing to remove ${directory}: it is not a cgroup below ${CGROUP_MOUNT}`, {
    operation: "rmdir",
    path: directory,
  });
}

/** Removes descendants, innermost first. A file system that is mounted over one is left alone. */
function removeChildren(directory: string): void {
  const remove = (parent: number, name: Buffer): boolean =>
    tryRemove(`${directory}/…/${shownName(name)}`, () => rmdirSync(name, parent));
  try {
    walkTree(directory, {
      enter: (parent) => subdirectories(parent).filter((name) => !remove(parent, name)),
      leave: remove,
    });
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw cgroupError("readdir", directory, error);
  }
}

/** False if the cgroup still contains processes or cgroups. */
function tryRemove(directory: string, remove = (): void => rmdirSync(directory)): boolean {
  try {
    remove();
    return true;
  } catch (error) {
    const errno = errorCode(error);
    if (errno === "ENOENT" || errno === "ENODEV") return true;
    if (errno === "EBUSY" || errno === "ENOTEMPTY") return false;
    throw cgroupError("rmdir", directory, error);
  }
}

function busyError(directory: string): RuntsError {
  const pids = processesOf(directory);
  const reason =
    pids.length === 0
      ? "it has no processes"
      : `${pids.length} process(es) survive SIGKILL: ${describeProcesses(pids)}`;
  return new RuntsError(
    `cannot remove cgroup ${cgroupName(directory)} after ${REMOVE_TIMEOUT_MS / 1000} s: ${reason}`,
    { operation: "rmdir", errno: "EBUSY", path: directory },
  );
}

function cgroupError(operation: string, directory: string, error: unknown): unknown {
  const errno = errorCode(error);
  if (errno === "") return error;
  return new RuntsError(`cannot ${operation} cgroup ${cgroupName(directory)}: ${describeErrno(errno)}`, {
    operation,
    errno,
    path: directory,
    cause: error,
  });
}
