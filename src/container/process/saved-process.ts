import { SIGKILL } from "../../../bindings/abi/signal.ts";
import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { closeSync } from "../../../bindings/linux/files.ts";
import { pidfdOpen, pidfdSendSignal } from "../../../bindings/linux/pidfd.ts";
import { waitReadable } from "../../../bindings/linux/poll.ts";
import { END_TIMEOUT_MS } from "../../../bindings/linux/reap.ts";
import { isAlive } from "./process-status.ts";

/**
 * Opens a pidfd of a process that the record names, such as init: a signal that is sent to it never reaches another process that has got
 * the same pid since. Returns undefined if the process has ended.
 */
export function openProcess(pid: number, startTime: string): number | undefined {
  if (pid === 0) return undefined;
  const pidfd = pidfdOpen(pid);
  if (pidfd === undefined) return undefined;
  // Checked only now: the pidfd stays that of the process that it was opened for.
  if (isAlive(pid, startTime)) return pidfd;
  closeSync(pidfd);
  return undefined;
}

/** Kills a process and waits for its end. Returns false if it still exists after END_TIMEOUT_MS. */
export function killProcess(pid: number, startTime: string): boolean {
  return endOf(pid, startTime, (pidfd) =>
    withPurpose("", `send SIGKILL to process ${pid}`, () => pidfdSendSignal(pidfd, SIGKILL)),
  );
}

/** Waits for a process that ends by itself. Returns false if it still exists after END_TIMEOUT_MS. */
export function waitForProcess(pid: number, startTime: string): boolean {
  return endOf(pid, startTime, () => undefined);
}

/** How long to wait for the end of a process before its state is looked at; doubled each time. */
const FIRST_WAIT_MS = 10;

/**
 * Does something to a process and waits for its end. Its pidfd becomes readable at the end, but not while an init that has released
 * everything waits for other processes to be reaped: see isAlive.
 */
function endOf(pid: number, startTime: string, first: (pidfd: number) => void): boolean {
  const pidfd = openProcess(pid, startTime);
  if (pidfd === undefined) return true;
  try {
    first(pidfd);
    const deadline = performance.now() + END_TIMEOUT_MS;
    for (let wait = FIRST_WAIT_MS; !waitReadable(pidfd, wait); wait *= 2) {
      if (!isAlive(pid, startTime)) return true;
      if (performance.now() > deadline) return false;
    }
    return true;
  } finally {
    closeSync(pidfd);
  }
}
