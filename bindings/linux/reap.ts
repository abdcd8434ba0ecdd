import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { ECHILD, errnoName } from "../abi/errno.ts";
import { siginfo } from "../abi/layouts.ts";
import { P_ALL, P_PID, SIGKILL, WEXITED, WNOHANG, WNOWAIT } from "../abi/signal.ts";
import { trySyscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";
import { closeSync } from "./files.ts";
import { pidfdOpen, pidfdSendSignal } from "./pidfd.ts";
import { waitAnyReadable, waitReadable } from "./poll.ts";

/** A killed process may take the kernel a while to take apart: its mounts, its network, a core dump. */
export const END_TIMEOUT_MS = 10_000;

/** Kills a child, and waits for its end. One that the kernel can't let go of in time stays to whoever reaps orphans. wait4(2) */
export function killAndReap(pid: number, purpose = `send SIGKILL to process ${pid}`): void {
  // 0 and below stand for groups, and -1 for all that there is: kill(2).
  if (!isPid(pid)) throw new SyscallError("kill", "EINVAL", [String(pid)]);
  withPurpose("", purpose, () => killUntilReaped(pid));
}

function killUntilReaped(pid: number): void {
  const deadline = performance.now() + END_TIMEOUT_MS;
  try {
    killByDescriptor(pid);
  } catch {
    // There may be no descriptor left. A child that nobody has waited for keeps its number.
    trySyscall("kill", pid, SIGKILL);
  }
  for (;;) {
    const reaped = trySyscall("wait4", pid, null, WNOHANG, null);
    if (reaped > 0 || reaped === -ECHILD || performance.now() >= deadline) return;
    waitAnyReadable([], 1);
  }
}

/** The number of a process is 31 bits wide. */
const LARGEST_PID = 0x7fff_ffff;

/**
 * Whether there is a child of this process by that number, alive or not: nobody else can get the number before it is waited for.
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

/** Children that are reaped at once: those who make orphans may never stop. */
const MOST_AT_ONCE = 64;

/**
 * Reaps children that have ended, but for one, whose exit code somebody else asks for. One that has ended hides those behind it: then
 * nobody waits for long any more. Returns whether there may be more to reap now. waitid(2)
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
