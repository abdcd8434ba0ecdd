import { P_PID, WEXITED, WNOHANG, WNOWAIT } from "../../bindings/abi/signal.ts";
import { trySyscall } from "../../bindings/ffi/syscall.ts";
import { DescriptorWatch } from "../../bindings/linux/descriptor-watch.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { pidfdOpen } from "../../bindings/linux/pidfd.ts";
import type { GlobalOptions } from "../container/context.ts";
import { type ExitStatus, reapChild } from "../container/process/exit-status.ts";
import { processStat } from "../container/process/process-status.ts";
import { AwaitedContainer } from "../container/wait.ts";
import { RuntsError } from "../errors.ts";

const watch = new DescriptorWatch();

/** Waits until a descriptor is readable, without its own thread. */
export const waitFor = (fd: number) => watch.wait(fd);

/** Waits until a child of this process exits, and reaps it. Keeps the event loop running and alive meanwhile. */
export async function exitOf(pid: number): Promise<ExitStatus> {
  if (!isChild(pid)) throw notOurChild(pid);
  const pidfd = pidfdOpen(pid);
  if (pidfd !== undefined) {
    try {
      await watch.wait(pidfd).readable;
    } finally {
      closeSync(pidfd);
    }
  }
  const status = reapChild(pid);
  if (status === undefined) throw notOurChild(pid);
  return status;
}

/** Whether init is a child of this process. Its pid may have been reused by another child, which must not be reaped here. */
export function isOurInit(init: Init): boolean {
  return isInit(init) && isChild(init.pid);
}

/** Like exitOf, for a container whose init is another process's child: it is not reaped here, and its exit code may be unknown. */
export async function exitOfContainer(context: GlobalOptions, id: string): Promise<ExitStatus> {
  const container = new AwaitedContainer(context, id);
  try {
    if (container.end() === undefined && container.pidfd !== undefined)
      await watch.wait(container.pidfd).readable;
    const end = container.end();
    if (end === undefined || "unknown" in end) throw unknownExit(id, end?.unknown ?? "it runs");
    container.note();
    return end;
  } finally {
    container.close();
  }
}

/** Reaps a container's init that has exited, if it is a child of this process. */
export function reapInit(init: Init): void {
  if (isInit(init)) reapChild(init.pid);
}

interface Init {
  readonly pid: number;
  readonly startTime: string;
}

/** Whether the process, possibly a zombie, is still the saved one. */
function isInit({ pid, startTime }: Init): boolean {
  return pid > 0 && processStat(pid)?.startTime === startTime;
}

/** int waitid(idtype_t idtype, id_t id, siginfo_t *infop, int options). With WNOWAIT, it does not reap. waitid(2) */
function isChild(pid: number): boolean {
  return trySyscall("waitid", P_PID, pid, null, WEXITED | WNOHANG | WNOWAIT, null) === 0;
}

function unknownExit(id: string, reason: string): RuntsError {
  return new RuntsError(`the exit code of container ${id} is unknown: ${reason}`, {
    operation: "wait",
    errno: "ECHILD",
    path: id,
  });
}

function notOurChild(pid: number): RuntsError {
  return new RuntsError(`process ${pid} is not a child of this process, so its exit code is unknown`, {
    operation: "wait4",
    errno: "ECHILD",
    path: String(pid),
  });
}

/** The longest timeout of setTimeout, which fires at once for a longer one. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A wait of so many milliseconds, which can be cancelled. */
export function after(ms: number): { readonly elapsed: Promise<void>; cancel(): void } {
  let timer: NodeJS.Timeout | undefined;
  const elapsed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.min(Math.max(0, ms), LONGEST_TIMER_MS));
  });
  return { elapsed, cancel: () => clearTimeout(timer) };
}
