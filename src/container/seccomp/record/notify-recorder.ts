import { F_DUPFD_CLOEXEC } from "../../../../bindings/abi/fcntl.ts";
import { SECCOMP_USER_NOTIF_FLAG_CONTINUE } from "../../../../bindings/abi/seccomp.ts";
import { numbers, syscall } from "../../../../bindings/ffi/syscall.ts";
import { closeSync } from "../../../../bindings/linux/files.ts";
import type { Libseccomp } from "../../../../bindings/linux/libseccomp.ts";
import { waitReadable } from "../../../../bindings/linux/poll.ts";
import { architectures, SCMP_ARCH_X32, X32_SYSCALL_BIT } from "../../../seccomp/constants.ts";
import { CallRecord } from "../../../seccomp/record/call-record.ts";
import { WATCHED_ARGUMENTS, type WatchedArgument } from "../../../seccomp/record/watched-arguments.ts";
import type { Awaited, EventSource } from "../../stdio/foreground.ts";
import { type HandOver, type SeccompAgent, takeListener } from "../agent.ts";
import { answerNotification, CALLS_OF_A_TURN, receiveNotification } from "../notification.ts";

/** Records the calls that a container's filter asks the runtime about (notifyingProfile), and lets each of them pass. */
export class NotifyRecorder implements EventSource, SeccompAgent {
  readonly record = new CallRecord();
  readonly #native: number;
  readonly #watched: ReadonlyMap<number, WatchedArgument>;
  #listener: number | undefined;

  constructor(library: Libseccomp) {
    this.#native = library.nativeArch();
    const resolved = library.resolveSyscalls(this.#native, Object.keys(WATCHED_ARGUMENTS));
    this.#watched = new Map(
      Object.values(WATCHED_ARGUMENTS).map((watched, place) => [resolved[place] ?? -1, watched]),
    );
  }

  handOver(handing: HandOver): void {
    takeListener(handing, (listener) => {
      this.#listener = syscall("fcntl", [listener, F_DUPFD_CLOEXEC, 3]);
    });
    // The one call that the filter does not ask about.
    this.record.add(this.#native, numbers.execve);
  }

  awaited(): Awaited {
    return { descriptors: this.#listener === undefined ? [] : [this.#listener] };
  }

  /** Lets some of the calls that wait pass: not all, since processes make others without end. */
  forward(): void {
    const listener = this.#listener;
    if (listener === undefined) return;
    for (let answered = 0; answered < CALLS_OF_A_TURN && waitReadable(listener, 0); answered += 1) {
      const notification = receiveNotification(listener);
      // The process has ended, or a signal has interrupted its call; without any process left the listener hangs up.
      if (notification === undefined) return;
      this.#note(notification.arch, notification.number, notification.args);
      answerNotification(listener, notification, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
    }
  }

  #note(arch: number, number: number, args: readonly bigint[]): void {
    if (arch === architectures.SCMP_ARCH_X86_64 && (number & X32_SYSCALL_BIT) !== 0) {
      this.record.add(SCMP_ARCH_X32, number & ~X32_SYSCALL_BIT);
      return;
    }
    this.record.add(arch, number);
    const watched = arch === this.#native ? this.#watched.get(number) : undefined;
    if (watched !== undefined) this.record.addValue(number, (args[watched.index] ?? 0n) & watched.mask);
  }

  /** Lets calls pass that still wait: their processes are not the container's, or about to end. */
  finish(): void {
    this.forward();
  }

  close(): void {
    if (this.#listener !== undefined) closeSync(this.#listener);
    this.#listener = undefined;
  }
}
