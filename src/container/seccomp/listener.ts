import { F_DUPFD_CLOEXEC } from "../../../bindings/abi/fcntl.ts";
import { seccomp_notif, seccomp_notif_resp } from "../../../bindings/abi/layouts.ts";
import { SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND } from "../../../bindings/abi/seccomp.ts";
import { syscall, trySyscall } from "../../../bindings/ffi/syscall.ts";
import { closeSync } from "../../../bindings/linux/files.ts";
import { waitReadable } from "../../../bindings/linux/poll.ts";
import type { Awaited, EventSource } from "../stdio/foreground.ts";
import { type HandOver, type SeccompAgent, takeListener } from "./agent.ts";

/** A system call of a process of the container, which waits for the answer: seccomp_unotify(2). */
export interface Notification {
  readonly id: bigint;
  /** Thread id, in the runtime's pid namespace. */
  readonly tid: number;
  readonly number: number;
  /** AUDIT_ARCH_* */
  readonly arch: number;
  readonly args: readonly bigint[];
}

/** Number of calls that are answered before signals and other events are looked for again. */
const CALLS_OF_A_TURN = 16;

/** The runtime in the foreground as the listener of its container's filter. */
export abstract class Listener implements EventSource, SeccompAgent {
  #descriptor: number | undefined;

  /** Answers a call that waits. */
  protected abstract answer(listener: number, notification: Notification): void;

  handOver(handing: HandOver): void {
    takeListener(handing, (listener) => {
      this.#descriptor = syscall("fcntl", [listener, F_DUPFD_CLOEXEC, 3]);
    });
  }

  awaited(): Awaited {
    return { descriptors: this.#descriptor === undefined ? [] : [this.#descriptor] };
  }

  /** Answers some of the calls that wait: not all, since processes may make others without end. */
  forward(): void {
    const listener = this.#descriptor;
    if (listener === undefined) return;
    for (let answered = 0; answered < CALLS_OF_A_TURN && waitReadable(listener, 0); answered += 1) {
      const notification = receiveNotification(listener);
      // The process has ended, or a signal has interrupted its call; without any process left the listener hangs up.
      if (notification === undefined) return;
      this.answer(listener, notification);
    }
  }

  /** Answers calls that still wait: their processes are not the container's, or about to end. */
  finish(): void {
    this.forward();
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

/** Returns undefined if there is nothing to receive any more. */
function receiveNotification(listener: number): Notification | undefined {
  const buffer = new Uint8Array(seccomp_notif.size);
  if (trySyscall("ioctl", listener, SECCOMP_IOCTL_NOTIF_RECV, buffer) < 0) return undefined;
  const view = new DataView(buffer.buffer);
  return {
    id: view.getBigUint64(seccomp_notif.id, true),
    tid: view.getUint32(seccomp_notif.pid, true),
    number: view.getInt32(seccomp_notif["data.nr"], true),
    arch: view.getUint32(seccomp_notif["data.arch"], true),
    args: [0, 1, 2, 3, 4, 5].map((index) => view.getBigUint64(seccomp_notif["data.args"] + 8 * index, true)),
  };
}

/** Answers a call: with an errno, or with 0 and SECCOMP_USER_NOTIF_FLAG_CONTINUE. ENOENT: the process does not wait any more. */
export function answerNotification(
  listener: number,
  { id }: Notification,
  errno: number,
  flags: number,
): void {
  const buffer = new Uint8Array(seccomp_notif_resp.size);
  const view = new DataView(buffer.buffer);
  view.setBigUint64(seccomp_notif_resp.id, id, true);
  view.setInt32(seccomp_notif_resp.error, -errno, true);
  view.setUint32(seccomp_notif_resp.flags, flags, true);
  trySyscall("ioctl", listener, SECCOMP_IOCTL_NOTIF_SEND, buffer);
}
