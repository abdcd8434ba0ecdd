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

/** Killed processes leave their cgroup when they exit, which may take the kernel a while (core dumps, unmounting). */
const REMOVE_TIMEOUT_MS = 10_000;
const MAX_PAUSE_MS = 50;

/**
 * Sends SIGKILL to every process in the cgroup and below it, frozen ones too, and does not wait for their end. A cgroup that
 * does not exist is fine. The root cgroup has neither of the two files, and so can't be killed.
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
    // Before 5.14 there is no cgroup.kill; a threaded cgroup has none that works (EOPNOTSUPP).
    if (errno !== "ENOENT" && errno !== "EOPNOTSUPP" && errno !== "ENOTSUP")
      throw cgroupError("kill", directory, error);
    killFrozen(directory);
    return;
  }
  killLeaderless(directory);
}

/**
 * Kills the processes whose first thread has ended while others run on: cgroup.kill signals that thread, which is deaf, and not
 * the process (Linux 6.18). All others in the cgroup are about to die of it.
 */
function killLeaderless(directory: string): void {
  const opened = new Map<number, number>();
  try {
    for (const pid of processesOf(directory)) {
      const pidfd = isZombie(pid) ? pidfdOpen(pid) : undefined;
      if (pidfd !== undefined) opened.set(pid, pidfd);
    }
    if (opened.size === 0) return;
    // A number that is still there is that of the process that was opened, or of another one in here.
    for (const pid of processesOf(directory)) {
      const pidfd = opened.get(pid);
      if (pidfd !== undefined) pidfdSendSignal(pidfd, SIGKILL);
    }
  } finally {
    for (const pidfd of opened.values()) closeSync(pidfd);
  }
}

/** Frozen, nothing can fork between the listing and the signal; and a frozen process still takes SIGKILL. */
function killFrozen(directory: string): void {
  if (!tryWrite(directory, "1")) return;
  for (const pid of processesOf(directory)) {
    // 0 is a process outside of our pid namespace, and for kill(2) it is our own process group.
    if (pid <= 1) continue;
    const result = trySyscall("kill", pid, SIGKILL);
    const errno = errnoName(-result);
    if (result < 0 && errno !== "ESRCH")
      throw cgroupError("kill", directory, new SyscallError("kill", errno, [String(pid)]));
  }
  tryWrite(directory, "0");
}

function tryWrite(directory: string, frozen: string): boolean {
  try {
    writeCgroupFile(directory, "cgroup.freeze", frozen);
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENODEV") return false;
    throw cgroupError("freeze", directory, error);
  }
}

/**
 * Removes the cgroup with all below it, after killing what is left in there. One that does not exist is fine. One that is not empty
 * stays as it is unless `mayKill` allows it.
 */
export function removeCgroup(directory: string, mayKill: () => boolean = () => true): void {
  const purpose = `remove the cgroup ${cgroupName(directory)}`;
  withPurpose("/linux/cgroupsPath", purpose, () => removeTree(directory, mayKill));
}

function removeTree(directory: string, mayKill: () => boolean): void {
  if (!isRemovable(directory)) return;
  if (tryRemove(directory) || !mayKill()) return;
  // The usual reason is that init was killed a moment ago; cgroups that the container made are the other one.
  const limit = performance.now() + REMOVE_TIMEOUT_MS;
  for (let pause = 0.25; ; pause = Math.min(pause * 1.5, MAX_PAUSE_MS)) {
    killCgroup(directory);
    removeChildren(directory);
    if (tryRemove(directory)) return;
    if (performance.now() > limit) throw busyError(directory);
    sleep(pause);
  }
}

/** The path may come from a state file: whatever it says, only a cgroup below the root of a cgroup2 mount is touched. */
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

/** Innermost first. Another file system that is mounted on a child is left alone. */
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

/** False for a cgroup that still has processes or cgroups in it. */
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
