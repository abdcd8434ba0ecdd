import { ENOSYS, EPERM } from "../../../bindings/abi/errno.ts";
import {
  SECCOMP_IOCTL_NOTIF_ID_VALID,
  SECCOMP_RET_ACTION_FULL,
  SECCOMP_RET_DATA,
  SECCOMP_USER_NOTIF_FLAG_CONTINUE,
} from "../../../bindings/abi/seccomp.ts";
import { SIGKILL, SIGSYS, signalName } from "../../../bindings/abi/signal.ts";
import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { trySyscall } from "../../../bindings/ffi/syscall.ts";
import { closeSync, readFileSync } from "../../../bindings/linux/files.ts";
import type { Libseccomp } from "../../../bindings/linux/libseccomp.ts";
import { pidfdOpen, pidfdSendSignal } from "../../../bindings/linux/pidfd.ts";
import { RuntsError } from "../../errors.ts";
import { writeStandardError } from "../../log.ts";
import { runFilter } from "../../seccomp/bpf-interpreter.ts";
import { compileSeccomp, loadLibseccomp } from "../../seccomp/compile.ts";
import { actions } from "../../seccomp/constants.ts";
import { explainVerdict, hex } from "../../seccomp/decision.ts";
import { architectureName } from "../../seccomp/explain-call.ts";
import { type Profile, readProfile } from "../../seccomp/profile.ts";
import { tracedProfile } from "../../seccomp/trace-profile.ts";
import type { Config, Seccomp } from "../../spec/types.ts";
import { answerNotification, Listener, type Notification } from "./listener.ts";

interface DeniedCall {
  readonly name: string;
  readonly action: string;
  readonly pointer: string;
  /** Arguments of the first call. */
  readonly args: readonly bigint[];
  count: number;
}

/**
 * `run --seccomp-trace`: receives the calls that the profile denies, answers each as the profile says, and reports them at the end.
 * Killing is the exception: the kernel ends a process by a SIGSYS that can't be handled, a runtime can only send SIGKILL.
 */
export class SeccompTrace extends Listener {
  readonly #denied = new Map<string, DeniedCall>();
  #library: Libseccomp | undefined;
  #filter = new Uint8Array();
  #profile: Profile | undefined;

  /** Returns the config with a filter that asks the runtime. */
  readonly changeConfig = (config: Config): Config => {
    const { linux } = config;
    if (linux?.seccomp === undefined) {
      throw new RuntsError("/linux/seccomp: there is no filter to trace (--seccomp-trace)", {
        operation: "run",
        pointer: "/linux/seccomp",
      });
    }
    this.#read(linux.seccomp);
    return { ...config, linux: { ...linux, seccomp: tracedProfile(linux.seccomp) } };
  };

  #read(seccomp: Seccomp): void {
    const ignore = (): void => undefined;
    this.#library = loadLibseccomp();
    this.#filter = Uint8Array.from(compileSeccomp(seccomp, ignore).filter);
    this.#profile = readProfile(seccomp, ignore);
  }

  protected override answer(listener: number, notification: Notification): void {
    const { arch, number: nr, args } = notification;
    const verdict = runFilter(this.#filter, { arch, nr, args });
    const kind = (verdict & SECCOMP_RET_ACTION_FULL) >>> 0;
    this.#note(notification, verdict);
    if (kind === actions.SCMP_ACT_ALLOW || kind === actions.SCMP_ACT_LOG) {
      answerNotification(listener, notification, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
      return;
    }
    if (kind === actions.SCMP_ACT_ERRNO) {
      answerNotification(listener, notification, verdict & SECCOMP_RET_DATA, 0);
      return;
    }
    signal(listener, notification, kind === actions.SCMP_ACT_TRAP ? SIGSYS : SIGKILL);
    answerNotification(listener, notification, kind === actions.SCMP_ACT_TRAP ? ENOSYS : EPERM, 0);
  }

  #note({ arch, number, args }: Notification, verdict: number): void {
    const name = this.#library?.syscallName(arch, number) ?? `${number} of ${architectureName(arch)}`;
    const profile = this.#profile;
    if (profile === undefined) return;
    const { action, pointer, allowed } = explainVerdict(profile, name, args, verdict);
    if (allowed) return;
    const key = `${name} ${pointer}`;
    const known = this.#denied.get(key);
    if (known === undefined) this.#denied.set(key, { name, action, pointer, args, count: 1 });
    else known.count += 1;
  }

  /** Writes what was denied, and what to add to the profile, to standard error. */
  report(): void {
    writeStandardError(reportText([...this.#denied.values()]));
  }
}

function reportText(denied: readonly DeniedCall[]): string {
  if (denied.length === 0) return "seccomp-trace: no system call was denied\n";
  const width = Math.max(...denied.map(({ name }) => name.length));
  const lines = denied.map(({ name, action, pointer, args, count }) => {
    const times = count === 1 ? "once" : `${count} times, first`;
    const shown = args.map(hex).join(", ");
    return `  ${name.padEnd(width)}  ${action} by ${pointer}, ${times} with (${shown})`;
  });
  const names = [...new Set(denied.map(({ name }) => name))].sort();
  const fragment = JSON.stringify({ names, action: "SCMP_ACT_ALLOW" });
  return `seccomp-trace: the profile denied\n${lines.join("\n")}\nto allow all of it, add to /linux/seccomp/syscalls, or less:\n  ${fragment}\n`;
}

/** The thread still waits when the descriptor of its process is open, so that this is no other with the same id. seccomp_unotify(2) */
function signal(listener: number, { id, tid }: Notification, number: number): void {
  const pid = processOf(tid);
  const pidfd = pidfdOpen(pid);
  if (pidfd === undefined) return;
  const bytes = new Uint8Array(BigUint64Array.of(id).buffer);
  if (trySyscall("ioctl", listener, SECCOMP_IOCTL_NOTIF_ID_VALID, bytes) === 0)
    withPurpose("", `send ${signalName(number)} to process ${pid}`, () => pidfdSendSignal(pidfd, number));
  closeSync(pidfd);
}

function processOf(tid: number): number {
  try {
    return Number(/^Tgid:\s*(\d+)$/m.exec(readFileSync(`/proc/${tid}/status`, "latin1"))?.[1] ?? tid);
  } catch {
    return tid;
  }
}
