import { SECCOMP_USER_NOTIF_FLAG_CONTINUE } from "../../../../bindings/abi/seccomp.ts";
import { numbers } from "../../../../bindings/ffi/syscall.ts";
import type { Libseccomp } from "../../../../bindings/linux/libseccomp.ts";
import { architectures, SCMP_ARCH_X32, X32_SYSCALL_BIT } from "../../../seccomp/constants.ts";
import { CallRecord } from "../../../seccomp/record/call-record.ts";
import { WATCHED_ARGUMENTS, type WatchedArgument } from "../../../seccomp/record/watched-arguments.ts";
import type { HandOver } from "../agent.ts";
import { answerNotification, Listener, type Notification } from "../listener.ts";

/** Records the calls that a container's filter asks the runtime about (notifyingProfile), and lets each of them pass. */
export class NotifyRecorder extends Listener {
  readonly record = new CallRecord();
  readonly #native: number;
  readonly #watched: ReadonlyMap<number, WatchedArgument>;

  constructor(library: Libseccomp) {
    super();
    this.#native = library.nativeArch();
    const resolved = library.resolveSyscalls(this.#native, Object.keys(WATCHED_ARGUMENTS));
    this.#watched = new Map(
      Object.values(WATCHED_ARGUMENTS).map((watched, place) => [resolved[place] ?? -1, watched]),
    );
  }

  override handOver(handing: HandOver): void {
    super.handOver(handing);
    // The one call that the filter does not ask about.
    this.record.add(this.#native, numbers.execve);
  }

  protected override answer(listener: number, notification: Notification): void {
    this.#note(notification);
    answerNotification(listener, notification, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
  }

  #note({ arch, number, args }: Notification): void {
    if (arch === architectures.SCMP_ARCH_X86_64 && (number & X32_SYSCALL_BIT) !== 0) {
      this.record.add(SCMP_ARCH_X32, number & ~X32_SYSCALL_BIT);
      return;
    }
    this.record.add(arch, number);
    const watched = arch === this.#native ? this.#watched.get(number) : undefined;
    if (watched !== undefined) this.record.addValue(number, (args[watched.index] ?? 0n) & watched.mask);
  }
}
