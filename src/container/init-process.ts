import { SIGKILL } from "../../bindings/abi/signal.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { pidfdOpen, pidfdSendSignal } from "../../bindings/linux/pidfd.ts";
import { waitReadable } from "../../bindings/linux/poll.ts";
import { END_TIMEOUT_MS } from "../../bindings/linux/reap.ts";
import { isAlive } from "./process-status.ts";

/**
 * Init by a descriptor: a signal sent to it never reaches another process that has got the same pid since. undefined if init
 * has ended.
 */
export function openInit(pid: number, startTime: string): number | undefined {
  if (pid === 0) return undefined;
  const pidfd = pidfdOpen(pid);
  if (pidfd === undefined) return undefined;
  // Only now: what the descriptor stands for doesn't change any more.
  if (isAlive(pid, startTime)) return pidfd;
  closeSync(pidfd);
  return undefined;
}

/** The first wait for the end of init, before a look at how far it has got. */
const FIRST_WAIT_MS = 10;

/**
 * Kills init and waits for its end. Returns false if it still is there after the time that this may take. The descriptor tells of the end,
 * but not of that of an init which has let go of all and still waits for others to be reaped (isAlive).
 */
export function killInit(pid: number, startTime: string): boolean {
  const pidfd = openInit(pid, startTime);
  if (pidfd === undefined) return true;
  try {
    pidfdSendSignal(pidfd, SIGKILL);
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
