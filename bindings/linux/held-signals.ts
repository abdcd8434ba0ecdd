import { SFD_CLOEXEC, SFD_NONBLOCK } from "../abi/fcntl.ts";
import { signalfd_siginfo } from "../abi/layouts.ts";
import { SIG_BLOCK } from "../abi/signal.ts";
import { syscall } from "../ffi/syscall.ts";
import { FileError } from "./file-call.ts";
import { readSync } from "./files.ts";

/** The kernel's sigset_t: a bit for each signal, the lowest for number 1. */
export type SignalSet = Uint8Array;

export function allSignalsBut(excluded: readonly number[]): SignalSet {
  const set = new Uint8Array(8).fill(0xff);
  for (const signal of excluded)
    set[(signal - 1) >> 3] = (set[(signal - 1) >> 3] ?? 0) & ~(1 << ((signal - 1) & 7));
  return set;
}

/**
 * From now on these signals wait in the kernel instead of being delivered to this thread and those that it starts: none is lost, none
 * ends the process. sigprocmask(2)
 */
export function holdSignals(set: SignalSet): void {
  syscall("rt_sigprocmask", [SIG_BLOCK, set, null, set.length]);
}

/** A descriptor that can be read when one of these signals, which are held, waits. signalfd(2) */
export function openHeldSignals(set: SignalSet): number {
  return syscall("signalfd4", [-1, set, set.length, SFD_CLOEXEC | SFD_NONBLOCK]);
}

/** Takes the signals that wait: their numbers. */
export function takeHeldSignals(fd: number): number[] {
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
