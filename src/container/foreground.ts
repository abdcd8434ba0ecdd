import { SIG_BLOCK, SIG_UNBLOCK, signalNumber } from "../../bindings/abi/signal.ts";
import { syscall } from "../../bindings/ffi/syscall.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { pidfdOpen, pidfdSendSignal } from "../../bindings/linux/pidfd.ts";
import { waitReadable } from "../../bindings/linux/poll.ts";
import type { ConsoleRelay } from "./console-relay.ts";
import { reapChild } from "./exit-status.ts";

/**
 * Signals that `run` passes on. WINCH only resizes the terminal; CHLD, PIPE, URG, XFSZ, PWR and those of faults are the engine's
 * own business, and for STKFLT and real-time signals it has no handlers. Service managers send more than the usual ones: ABRT,
 * when a watchdog is not answered (systemd.service(5)), which the engine would take for a crash of its own.
 */
const FORWARDED = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGCONT",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGABRT",
  "SIGXCPU",
  "SIGVTALRM",
  "SIGPROF",
  "SIGIO",
] as const;

const RESIZED = "SIGWINCH";

/**
 * How long the end of init is waited for before the machinery for a long run is set up: a thread to wait in and the handlers,
 * which cost more than a short program runs. A signal that arrives meanwhile is handled right after.
 */
const SHORT_RUN_MS = 20;

/**
 * From now on the signals that `run` and `exec` pass on wait in the kernel, until there is somebody to pass them on to: none ends
 * the runtime and leaves the process, none is lost. The engine has no other thread yet that would take them. The process of the
 * container has a mask of its own.
 */
export function holdSignals(): void {
  maskSignals(SIG_BLOCK);
}

function maskSignals(how: number): void {
  let mask = 0n;
  for (const signal of [...FORWARDED, RESIZED]) mask |= 1n << BigInt((signalNumber(signal) ?? 0) - 1);
  const set = new Uint8Array(BigUint64Array.of(mask).buffer);
  syscall("rt_sigprocmask", [how, set, null, set.length]);
}

/** Somebody else who has to be served while the container runs. */
export interface Attendant {
  /** What to wait for. */
  readonly descriptors: readonly number[];
  /** Handles what has come. */
  forward(): void;
  close(): void;
}

/**
 * Waits in the foreground for the end of init, which is a child of this process: passes signals and terminal input on. The signals
 * are to be held before init is there.
 */
export class Foreground {
  readonly #pid: number;
  readonly #pidfd: number;
  readonly #relay: ConsoleRelay | undefined;
  readonly #attendants: readonly Attendant[];
  readonly #handlers: { readonly signal: NodeJS.Signals; readonly handler: () => void }[] = [];

  constructor(pid: number, relay: ConsoleRelay | undefined, attendants: readonly Attendant[] = []) {
    this.#pid = pid;
    this.#pidfd = pidfdOpen(pid) ?? -1;
    this.#relay = relay;
    this.#attendants = attendants;
  }

  /** Passes on the signals that were held, and those to come. */
  #forwardSignals(): void {
    for (const signal of FORWARDED) this.#handle(signal, () => this.#forward(signal));
    if (this.#relay !== undefined) this.#handle(RESIZED, () => this.#relay?.resize());
    maskSignals(SIG_UNBLOCK);
  }

  #handle(signal: NodeJS.Signals, handler: () => void): void {
    process.on(signal, handler);
    this.#handlers.push({ signal, handler });
  }

  /** Whether init has ended in this very moment doesn't matter: its exit code says more. */
  #forward(signal: NodeJS.Signals): void {
    pidfdSendSignal(this.#pidfd, signalNumber(signal) ?? 0);
  }

  /** The exit code as a shell gives it: 128 and the number for a signal. */
  async wait(): Promise<number> {
    const relays = this.#relay !== undefined || this.#attendants.length > 0;
    if (relays || !waitReadable(this.#pidfd, SHORT_RUN_MS)) await this.#waitLong();
    this.#relay?.drain((fd) => waitReadable(fd, 0));
    for (const attendant of this.#attendants) attendant.forward();
    return reapChild(this.#pid)?.exitCode ?? 0;
  }

  async #waitLong(): Promise<void> {
    this.#forwardSignals();
    const { pollReadable } = await import("../../bindings/linux/poll-async.ts");
    for (;;) {
      const attended = this.#attendants.flatMap(({ descriptors }) => descriptors);
      const relayed = [...(this.#relay?.readable ?? []), ...attended];
      const ready = await pollReadable([this.#pidfd, ...relayed], this.#relay?.writable);
      if (ready.includes(this.#pidfd)) return;
      for (const fd of new Set(ready)) this.#relay?.move(fd);
      for (const attendant of this.#attendants) attendant.forward();
    }
  }

  /** Signals are held again: none may cut the deletion of the container short. */
  close(): void {
    holdSignals();
    for (const { signal, handler } of this.#handlers) process.off(signal, handler);
    this.#relay?.close();
    for (const attendant of this.#attendants) attendant.close();
    closeSync(this.#pidfd);
  }
}
