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

/** Processes in uninterruptible sleep can delay a freeze. One that takes longer than this is not going to finish. */
const FREEZE_TIMEOUT_MS = 10_000;

/** Whether the cgroup itself was frozen. False for a cgroup that is gone and on a kernel without the freezer (before 5.2). */
export function isFrozen(directory: string): boolean {
  return tryReadCgroupFile(directory, "cgroup.freeze")?.startsWith("1") ?? false;
}

/** Whether the cgroup or one of its ancestors is frozen: a process started in it would hang. */
export function isEffectivelyFrozen(directory: string): boolean {
  return hasEvent(directory, "frozen 1");
}

/** Whether cgroup.events contains a line, such as `frozen 1` or `populated 1`. False for a cgroup that is gone. */
export function hasEvent(directory: string, line: string): boolean {
  return tryReadCgroupFile(directory, "cgroup.events")?.split("\n").includes(line) ?? false;
}

/** Freezes all processes of a cgroup and waits until they have stopped, or thaws them. A freeze that fails or times out is undone. */
export function setFrozen(directory: string, frozen: boolean): void {
  if (!frozen) {
    // Not awaited: below a frozen ancestor, a thawed cgroup stays frozen.
    writeFreezer(directory, false);
    return;
  }
  try {
    writeFreezer(directory, true);
    awaitFrozenTree(directory);
  } catch (error) {
    try {
      writeFreezer(directory, false);
    } catch {
      // The first error is the one to report.
    }
    throw error;
  }
}

/**
 * The kernel reports a cgroup as frozen once its own processes are, whatever those of its descendants still do, so each descendant is
 * awaited too. A cgroup's children are listed once it is frozen, so none of its processes can add one. A process elsewhere can; then
 * the topmost cgroup is not frozen until the new one is, and all are visited again.
 */
function awaitFrozenTree(directory: string): void {
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

/** The kernel delays the notification of a second change within 10 ms: cgroup_file_notify() in kernel/cgroup/cgroup.c. */
const LONGEST_WAIT_MS = 1;

/** Returns at once for a cgroup that is gone. */
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
