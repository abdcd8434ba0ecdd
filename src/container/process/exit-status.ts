import { signalName } from "../../../bindings/abi/signal.ts";
import { trySyscall } from "../../../bindings/ffi/syscall.ts";

/** How a process has ended. */
export interface ExitStatus {
  /** As a shell gives it: 128 and the number for a signal. */
  readonly exitCode: number;
  /** `SIGKILL` and the like, if a signal has ended it. */
  readonly signal: string | undefined;
}

/** Reaps a child of this process that has ended, or waits for its end. undefined if it is no child of this process. wait4(2) */
export function reapChild(pid: number): ExitStatus | undefined {
  // To wait4(2) these are groups of processes.
  if (pid <= 0) return undefined;
  const status = new Int32Array(1);
  if (trySyscall("wait4", pid, new Uint8Array(status.buffer), 0, null) < 0) return undefined;
  return decodeStatus(status[0] ?? 0);
}

/** The status word of wait(2). */
export function decodeStatus(word: number): ExitStatus {
  const signal = word & 0x7f;
  if (signal === 0) return { exitCode: (word >> 8) & 0xff, signal: undefined };
  return { exitCode: 128 + signal, signal: signalName(signal) };
}
