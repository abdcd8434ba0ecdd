import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { closeSync, openSync, readSync } from "../../bindings/linux/files.ts";
import { waitChanged } from "../../bindings/linux/poll.ts";
import { errorCode, RuntsError } from "../errors.ts";
import {
  cgroupName,
  describeErrno,
  isGone,
  tryReadCgroupFile,
  visitCgroups,
  writeCgroupFile,
} from "./files.ts";

/** Processes in uninterruptible sleep can hold a freeze up; what takes longer than this is not going to end. */
const FREEZE_TIMEOUT_MS = 10_000;

/** Whether the container was paused. A cgroup that is gone, or a kernel without the freezer (before 5.2), is not. */
export function isFrozen(directory: string): boolean {
  return tryReadCgroupFile(directory, "cgroup.freeze")?.startsWith("1") ?? false;
}

/** Whether nothing may run in the cgroup, be it frozen itself or one above it: a process started in it would hang. */
export function cannotRun(directory: string): boolean {
  return hasEvent(directory, "frozen 1");
}

/** Whether a line of cgroup.events, `frozen 1` or `populated 1`, holds. */
export function hasEvent(directory: string, line: string): boolean {
  return tryReadCgroupFile(directory, "cgroup.events")?.split("\n").includes(line) ?? false;
}

/** Pauses or resumes all processes and waits until they are. A freeze that fails, or does not end in time, is taken back. */
export function setFrozen(directory: string, frozen: boolean): void {
  if (!frozen) {
    // A cgroup below a frozen one stays frozen when it is thawed itself, so that is not waited for.
    writeFreezer(directory, false);
    return;
  }
  try {
    writeFreezer(directory, true);
    awaitStandstill(directory);
  } catch (error) {
    try {
      writeFreezer(directory, false);
    } catch {
      // The first error is the one to tell.
    }
    throw error;
  }
}

/**
 * A cgroup counts as frozen when its own processes are, whatever those below still do. It is looked into when it stands still, so that
 * nothing in it can make another one; only from elsewhere a process may, and then the topmost is not frozen until that one is.
 */
function awaitStandstill(directory: string): void {
  const limit = performance.now() + FREEZE_TIMEOUT_MS;
  const checkTime = (): void => {
    if (performance.now() <= limit) return;
    throw new RuntsError(
      `cannot freeze cgroup ${cgroupName(directory)}: its processes did not stop within ${FREEZE_TIMEOUT_MS / 1000} s`,
      { operation: "write", path: `${directory}/cgroup.freeze` },
    );
  };
  let visited: number;
  do {
    visited = 0;
    visitCgroups(directory, (cgroup) => {
      visited += 1;
      awaitFrozen(cgroup, checkTime);
    });
  } while (visited > 1 && hasEvent(directory, "frozen 0"));
}

/** The kernel tells of a change, but of two within 10 ms only later: cgroup_file_notify() in kernel/cgroup/cgroup.c. */
const LONGEST_WAIT_MS = 1;

/** One that is gone is neither frozen nor not. */
function awaitFrozen(cgroup: string, checkTime: () => void): void {
  let events: number | undefined;
  try {
    events = openSync(`${cgroup}/cgroup.events`, "r");
    const text = Buffer.allocUnsafe(64);
    while (text.toString("latin1", 0, readSync(events, text, 0, text.length, 0)).includes("frozen 0")) {
      checkTime();
      waitChanged(events, LONGEST_WAIT_MS);
    }
  } catch (error) {
    if (!isGone(error)) throw error;
  } finally {
    if (events !== undefined) closeSync(events);
  }
}

function writeFreezer(directory: string, frozen: boolean): void {
  try {
    withPurpose(
      "/linux/cgroupsPath",
      `${frozen ? "freeze" : "thaw"} the cgroup ${cgroupName(directory)}`,
      () => writeCgroupFile(directory, "cgroup.freeze", frozen ? "1" : "0"),
    );
  } catch (error) {
    const errno = errorCode(error);
    if (errno === "") throw error;
    throw new RuntsError(
      `cannot write cgroup.freeze of cgroup ${cgroupName(directory)}: ${describeErrno(errno)}`,
      {
        operation: "write",
        errno,
        path: `${directory}/cgroup.freeze`,
        cause: error,
      },
    );
  }
}
