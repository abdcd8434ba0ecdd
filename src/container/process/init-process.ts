import { SIGKILL } from "../../../bindings/abi/signal.ts";
import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { closeSync } from "../../../bindings/linux/files.ts";
import { pidfdOpen, pidfdSendSignal } from "../../../bindings/linux/pidfd.ts";
import { waitReadable } from "../../../bindings/linux/poll.ts";
import { END_TIMEOUT_MS } from "../../../bindings/linux/reap.ts";
import { isAlive } from "./process-status.ts";

/**
 * Opens a pidfd of init: a signal that is sent to it never reaches another process that has got the same pid since. Returns undefined
 * if init has ended.
 */
export function openInit(pid: number, startTime: string): number | undefined {
  if (pid === 0) return undefined;
  const pidfd = pidfdOpen(pid);
  if (pidfd === undefined) return undefined;
  // Checked only now: the pidfd stays that of the process that it was opened for.
  if (isAlive(pid, startTime)) return pidfd;
  closeSync(pidfd);
  return undefined;
}

/** How long to wait for the end of a process before its state is looked at; doubled each time. */
const FIRST_WAIT_MS = 10;

/**
 * Kills init and waits for its end. Returns false if it still exists after END_TIMEOUT_MS. Its pidfd becomes readable at the end, but not
 * while init, which has released everything, waits for other processes to be reaped: see isAlive.
 */
export function killInit(pid: number, startTime: string): boolean {
  const pidfd = openInit(pid, startTime);
  if (pidfd === undefined) return true;
  try {
    withPurpose("", `send SIGKILL to process ${pid}`, () => pidfdSendSignal(pidfd, SIGKILL));
    return endsInTime(pidfd, pid, startTime);
  } finally {
    closeSync(pidfd);
  }
}

/** Waits for the end of a process that ends by itself. Returns false if it still exists after END_TIMEOUT_MS. */
export function waitForEnd(pid: number, startTime: string): boolean {
  const pidfd = openInit(pid, startTime);
  if (pidfd === undefined) return true;
  try {
    return endsInTime(pidfd, pid, startTime);
  } finally {
    closeSync(pidfd);
  }
}

function endsInTime(pidfd: number, pid: number, startTime: string): boolean {
  const deadline = performance.now() + END_TIMEOUT_MS;
  for (let wait = FIRST_WAIT_MS; !waitReadable(pidfd, wait); wait *= 2) {
    if (!isAlive(pid, startTime)) return true;
    if (performance.now() > deadline) return false;
  }
  return true;
}
