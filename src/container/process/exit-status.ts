import { signalName } from "../../../bindings/abi/signal.ts";
import { trySyscall } from "../../../bindings/ffi/syscall.ts";

/** The end of a process. */
export interface ExitStatus {
  /** The shell's exit code: 128 plus the number for a signal. */
  readonly exitCode: number;
  /** `SIGKILL` and the like, if a signal has ended it. */
  readonly signal: string | undefined;
}

/** Waits for the end of a child of this process, and reaps it. Returns undefined if it is not a child of this process. wait4(2) */
export function reapChild(pid: number): ExitStatus | undefined {
  // wait4(2) takes these for process groups.
  if (pid <= 0) return undefined;
  const status = new Int32Array(1);
  if (trySyscall("wait4", pid, new Uint8Array(status.buffer), 0, null) < 0) return undefined;
  return decodeStatus(status[0] ?? 0);
}

/** Decodes the status word of wait(2). */
export function decodeStatus(word: number): ExitStatus {
  const signal = word & 0x7f;
  if (signal === 0) return { exitCode: (word >> 8) & 0xff, signal: undefined };
  return { exitCode: 128 + signal, signal: signalName(signal) };
}
