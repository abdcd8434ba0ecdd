import { SFD_CLOEXEC, SFD_NONBLOCK } from "../abi/fcntl.ts";
import { signalfd_siginfo } from "../abi/layouts.ts";
import { SIG_BLOCK } from "../abi/signal.ts";
import { syscall } from "../ffi/syscall.ts";
import { FileError } from "./file-call.ts";
import { readSync } from "./files.ts";

/** The kernel's sigset_t: one bit per signal, the lowest for signal 1. */
export type SignalSet = Uint8Array;

export function allSignalsExcept(excluded: readonly number[]): SignalSet {
  const set = new Uint8Array(8).fill(0xff);
  for (const signal of excluded)
    set[(signal - 1) >> 3] = (set[(signal - 1) >> 3] ?? 0) & ~(1 << ((signal - 1) & 7));
  return set;
}

/**
 * Blocks these signals in this thread and in all threads that it starts: they stay pending in the kernel, so none is lost and none ends the
 * process. sigprocmask(2)
 */
export function blockSignals(set: SignalSet): void {
  syscall("rt_sigprocmask", [SIG_BLOCK, set, null, set.length]);
}

/** Opens a descriptor that is readable while one of these blocked signals is pending. signalfd(2) */
export function openSignalfd(set: SignalSet): number {
  return syscall("signalfd4", [-1, set, set.length, SFD_CLOEXEC | SFD_NONBLOCK]);
}

/** Takes all pending signals from a signalfd; returns their numbers. */
export function readSignalfd(fd: number): number[] {
  const signals: number[] = [];
  const info = Buffer.alloc(signalfd_siginfo.size);
  for (;;) {
    try {
      readSync(fd, info);
    } catch (error) {
      if (error instanceof FileError && error.code === "EAGAIN") return signals;
      throw error;
    }
    signals.push(info.readUInt32LE(signalfd_siginfo.ssi_signo));
  }
}
