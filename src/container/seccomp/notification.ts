import { seccomp_notif, seccomp_notif_resp } from "../../../bindings/abi/layouts.ts";
import { SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND } from "../../../bindings/abi/seccomp.ts";
import { trySyscall } from "../../../bindings/ffi/syscall.ts";

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
export const CALLS_OF_A_TURN = 16;

/** Returns undefined if there is nothing to receive any more. */
export function receiveNotification(listener: number): Notification | undefined {
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
