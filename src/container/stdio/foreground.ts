import {
  SIGBUS,
  SIGCHLD,
  SIGFPE,
  SIGILL,
  SIGKILL,
  SIGPIPE,
  SIGPWR,
  SIGRTMIN,
  SIGSEGV,
  SIGSTOP,
  SIGSYS,
  SIGTRAP,
  SIGURG,
  SIGWINCH,
  SIGXFSZ,
  signalName,
} from "../../../bindings/abi/signal.ts";
import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { knownStatus } from "../../../bindings/linux/file-status.ts";
import { closeSync } from "../../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { pidfdOpen, pidfdSendSignal } from "../../../bindings/linux/pidfd.ts";
import { waitReadable, waitReady } from "../../../bindings/linux/poll.ts";
import { reapOtherChildren } from "../../../bindings/linux/reap.ts";
import { receiveDescriptor } from "../../../bindings/linux/receive-descriptor.ts";
import {
  allSignalsExcept,
  blockSignals,
  openSignalfd,
  readSignalfd,
} from "../../../bindings/linux/signalfd.ts";
import { ownTerminal, windowSize } from "../../../bindings/linux/terminal.ts";
import { channelPair } from "../../../bindings/stub/client.ts";
import { RuntsError } from "../../errors.ts";
import { type ExitStatus, reapChild } from "../process/exit-status.ts";
import { ConsoleRelay } from "./console-relay.ts";
import type { TerminalReceiver } from "./receivers.ts";

/**
 * Signals that stay as they are: what can't be caught; faults, and PIPE and XFSZ, which tell a process of what it has done itself; what
 * the engine (PWR) and the kernel (URG) use by themselves; and the two that belong to the C library (signal(7), Real-time signals). Of
 * those that the runtime takes WINCH only resizes the terminal, and CHLD tells of children; the others are passed on.
 */
const NOT_TAKEN = [
  SIGKILL,
  SIGSTOP,
  SIGILL,
  SIGTRAP,
  SIGBUS,
  SIGFPE,
  SIGSEGV,
  SIGSYS,
  SIGPIPE,
  SIGXFSZ,
  SIGPWR,
  SIGURG,
  SIGRTMIN - 2,
  SIGRTMIN - 1,
];

/**
 * Makes the signals that `run` and `exec` pass on wait in the kernel, until there is a process to pass them on to: no signal ends the
 * runtime and leaves the process behind, and none is lost. The engine has no other thread yet that would take them. The process of the
 * container has its own mask.
 */
export function holdForwardedSignals(): void {
  blockSignals(allSignalsExcept(NOT_TAKEN));
}

/** Descriptors to wait for until they are readable, and the longest time to wait. */
export interface Awaited {
  readonly descriptors: readonly number[];
  readonly timeoutMs?: number;
}

/** A source of events that are handled while the container runs. */
export interface EventSource {
  awaited(): Awaited;
  /** Handles some of the events that have come, so few that it takes no time: signals and other sources wait meanwhile. */
  forward(): void;
  /** Handles the events that came before the end of init, and no more. */
  finish(): void;
  close(): void;
}

/**
 * Waits in the foreground for the end of init, which is a child of this process: passes signals and terminal input on, and reaps the
 * orphans that a subreaper gets. The signals have to be held before init exists, and stay held: none may cut short what follows.
 */
export class Foreground {
  readonly #pid: number;
  readonly #pidfd: number;
  readonly #signals: number;
  readonly #relay: ConsoleRelay | undefined;
  readonly #sources: EventSource[] = [];
  /** Whether there may be more orphans to reap. */
  #hasOrphans = false;

  constructor(pid: number, relay: ConsoleRelay | undefined) {
    this.#pid = pid;
    this.#pidfd = pidfdOpen(pid) ?? -1;
    this.#signals = openSignalfd(allSignalsExcept(NOT_TAKEN));
    this.#relay = relay;
  }

  /** Serves a source from now on, and closes it in the end. */
  serve(source: EventSource): void {
    this.#sources.push(source);
  }

  /** Waits for the end of init, and reaps it. */
  wait(): ExitStatus {
    for (;;) {
      const ready = this.#ready();
      if (ready.includes(this.#pidfd)) break;
      this.#serve(ready);
    }
    this.#relay?.drain((fd) => waitReadable(fd, 0));
    for (const source of this.#sources) source.finish();
    return reapChild(this.#pid) ?? { exitCode: 0, signal: undefined };
  }

  /** Waits until there is something to do for some descriptors. */
  #ready(): number[] {
    const readable = [this.#pidfd, this.#signals, ...(this.#relay?.readable ?? [])];
    let least = this.#hasOrphans ? 0 : Number.POSITIVE_INFINITY;
    for (const source of this.#sources) {
      const { descriptors, timeoutMs = least } = source.awaited();
      readable.push(...descriptors);
      least = Math.min(least, timeoutMs);
    }
    const timeoutMs = least === Number.POSITIVE_INFINITY ? undefined : least;
    return waitReady(readable, this.#relay?.writable ?? [], timeoutMs);
  }

  #serve(ready: readonly number[]): void {
    if (ready.includes(this.#signals)) for (const signal of readSignalfd(this.#signals)) this.#handle(signal);
    if (this.#hasOrphans) this.#hasOrphans = reapOtherChildren(this.#pid);
    const relay = this.#relay;
    if (relay !== undefined)
      withPurpose("/process/terminal", "relay the terminal", () => {
        for (const fd of new Set(ready)) relay.move(fd);
      });
    for (const source of this.#sources) source.forward();
  }

  #handle(signal: number): void {
    if (signal === SIGCHLD) this.#hasOrphans = true;
    else if (signal === SIGWINCH) this.#relay?.resize();
    // It doesn't matter if init has ended in this very moment: its exit code says more.
    else withPurpose("", `pass ${signalName(signal)} on`, () => pidfdSendSignal(this.#pidfd, signal));
  }

  close(): void {
    this.#relay?.close();
    for (const source of this.#sources) source.close();
    closeSync(this.#signals);
    closeSync(this.#pidfd);
  }
}

/** makedev(5, 2): /dev/ptmx, and the ptmx of each devpts. pts(4) */
const PTMX = 0x502;

/** Makes the runtime itself the other end of a terminal: it gets the master over a socket pair, in place of a console socket. */
export function foregroundTerminal(): {
  open: () => TerminalReceiver;
  relay: () => ConsoleRelay | undefined;
} {
  let relay: ConsoleRelay | undefined;
  return {
    relay: () => relay,
    open: () => {
      const [ours, theirs] = channelPair();
      const terminal = ownTerminal();
      return {
        socket: new OwnedDescriptor(theirs),
        size: terminal === undefined ? undefined : windowSize(terminal),
        connected: () => {
          const master = receiveDescriptor(ours);
          closeSync(ours);
          checkMaster(master);
          relay = new ConsoleRelay(master);
        },
      };
    },
  };
}

/** Checks a master that the stub has sent from within the container, before the runtime uses it. Closes any other file, and throws. */
export function checkMaster(fd: number): void {
  const status = knownStatus(fd);
  if (status.isCharacterDevice() && status.rdev === PTMX) return;
  closeSync(fd);
  const pointer = "/process/terminal";
  throw new RuntsError(`${pointer}: what the container has sent is not a terminal's master`, {
    operation: "recvmsg",
    errno: "EPROTO",
    pointer,
  });
}
