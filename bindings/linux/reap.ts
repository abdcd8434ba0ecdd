import { ECHILD, errnoName } from "../abi/errno.ts";
import { siginfo } from "../abi/layouts.ts";
import { P_ALL, P_PID, SIGKILL, WEXITED, WNOHANG, WNOWAIT } from "../abi/signal.ts";
import { withPurpose } from "../ffi/purpose.ts";
import { trySyscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";
import { closeSync } from "./files.ts";
import { pidfdOpen, pidfdSendSignal } from "./pidfd.ts";
import { waitAnyReadable, waitReadable } from "./poll.ts";

/** The kernel may need a while to tear down a killed process: its mounts, its network, a core dump. */
export const END_TIMEOUT_MS = 10_000;

/** Kills a child and reaps it. A child that doesn't end within END_TIMEOUT_MS is left to the process that reaps orphans. wait4(2) */
export function killAndReap(pid: number, purpose = `send SIGKILL to process ${pid}`): void {
  // For kill(2), 0 and negative numbers mean process groups, and -1 all processes.
  if (!isPid(pid)) throw new SyscallError("kill", "EINVAL", [String(pid)]);
  withPurpose("", purpose, () => killUntilReaped(pid));
}

function killUntilReaped(pid: number): void {
  const deadline = performance.now() + END_TIMEOUT_MS;
  try {
    killByDescriptor(pid);
  } catch {
    // No descriptor may be left (EMFILE). The pid is safe: it stays with the child until it is reaped.
    trySyscall("kill", pid, SIGKILL);
  }
  for (;;) {
    const reaped = trySyscall("wait4", pid, null, WNOHANG, null);
    if (reaped > 0 || reaped === -ECHILD || performance.now() >= deadline) return;
    waitAnyReadable([], 1);
  }
}

/** pid_t is a signed number of 32 bits. */
const LARGEST_PID = 0x7fff_ffff;

/**
 * Whether this process has a child with that pid, running or ended; no other process gets the number before the child is reaped.
 * waitid(2)
 */
export function isChild(pid: number): boolean {
  if (!isPid(pid)) return false;
  const result = trySyscall("waitid", P_PID, pid, null, WEXITED | WNOHANG | WNOWAIT, null);
  if (result < 0 && result !== -ECHILD) throw new SyscallError("waitid", errnoName(-result), [String(pid)]);
  return result === 0;
}

function isPid(pid: number): boolean {
  return Number.isInteger(pid) && pid > 0 && pid <= LARGEST_PID;
}

function killByDescriptor(pid: number): void {
  const pidfd = pidfdOpen(pid);
  if (pidfd === undefined) return;
  try {
    pidfdSendSignal(pidfd, SIGKILL);
    waitReadable(pidfd, END_TIMEOUT_MS);
  } finally {
    closeSync(pidfd);
  }
}

/** Limit of children per call, since somebody may create orphans without end. */
const MOST_AT_ONCE = 64;

/**
 * Reaps all ended children except `pid`, whose exit code the caller collects. Once that one has ended, it hides later children; they
 * stay until the caller has reaped it. Returns whether there may be more to reap now. waitid(2)
 */
export function reapOtherChildren(pid: number): boolean {
  const info = new Int32Array(siginfo.size / Int32Array.BYTES_PER_ELEMENT);
  for (let reaped = 0; reaped < MOST_AT_ONCE; reaped += 1) {
    const result = trySyscall(
      "waitid",
      P_ALL,
      0,
      new Uint8Array(info.buffer),
      WEXITED | WNOHANG | WNOWAIT,
      null,
    );
    const ended = info[siginfo.si_pid / Int32Array.BYTES_PER_ELEMENT] ?? 0;
    if (result < 0 || ended === 0 || ended === pid) return false;
    trySyscall("wait4", ended, null, WNOHANG, null);
  }
  return true;
}
