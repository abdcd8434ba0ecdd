import { trySyscall } from "../../bindings/ffi/syscall.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { pidfdOpen, pidfdSendSignal } from "../../bindings/linux/pidfd.ts";
import { waitReadable } from "../../bindings/linux/poll.ts";
import { isAlive } from "./process-status.ts";

/** Signals that a process can't handle differently. */
export const SIGKILL = 9;
/** A killed process may take the kernel a while to take apart: its mounts, its network, a core dump. */
const END_TIMEOUT_MS = 10_000;

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

/** Kills a child of this process, and reaps it. */
export function killChild(pid: number): void {
  const pidfd = pidfdOpen(pid);
  if (pidfd === undefined) return;
  pidfdSendSignal(pidfd, SIGKILL);
  waitReadable(pidfd, END_TIMEOUT_MS);
  closeSync(pidfd);
  trySyscall("wait4", pid, null, 0, null);
}

/** Kills init and waits for its end. Returns false if it still is there after the time that this may take. */
export function killInit(pid: number, startTime: string): boolean {
  const pidfd = openInit(pid, startTime);
  if (pidfd === undefined) return true;
  try {
    pidfdSendSignal(pidfd, SIGKILL);
    return waitReadable(pidfd, END_TIMEOUT_MS);
  } finally {
    closeSync(pidfd);
  }
}
