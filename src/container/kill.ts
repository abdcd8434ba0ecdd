import {
  SIGCHLD,
  SIGCONT,
  SIGKILL,
  SIGSTOP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
  SIGURG,
  SIGWINCH,
  signalName,
  signalNumber,
} from "../../bindings/abi/signal.ts";
import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { pidfdSendSignal } from "../../bindings/linux/pidfd.ts";
import { hasEvent } from "../cgroup/freeze.ts";
import { killCgroup } from "../cgroup/remove.ts";
import { RuntsError } from "../errors.ts";
import type { GlobalOptions } from "./context.ts";
import { openProcess } from "./process/saved-process.ts";
import { type LockedContainer, withLockedContainer } from "./record/lock.ts";
import { readSavedState, type SavedState } from "./record/saved-state.ts";
import { findContainerIn, statusOf } from "./record/status.ts";

/**
 * Sends a signal to the container's init. SIGKILL goes to every process of the container, if init doesn't take all others with it.
 * `all` is obsolete, as in runc: its one effect is that a container which has stopped is not an error. SIGKILL reaches processes that
 * outlive init with or without it.
 */
export function killContainer(
  { root }: GlobalOptions,
  id: string,
  signal: string,
  { all }: { readonly all: boolean },
): void {
  const number = parseSignal(signal);
  const { directory, saved } = readSavedState(root, id);
  const status = statusOf(directory, saved);
  const pidfd =
    status === "stopped" || status === "creating" ? undefined : openProcess(saved.pid, saved.startTime);
  if (pidfd === undefined) {
    const killed = number === SIGKILL && status === "stopped" && killOthers(root, saved);
    if (!killed && !all) throw notRunning(id);
    return;
  }
  try {
    // As pid 1 of its namespace, a waiting init is deaf to all signals but SIGKILL: pid_namespaces(7).
    const sent = status === "created" && endsProcess(number) ? SIGKILL : number;
    const everybody = sent === SIGKILL && !saved.ownPidNamespace && saved.cgroup !== "";
    if (everybody) killCgroup(saved.cgroup);
    const hasReceived = withPurpose("", `send ${signalName(sent)} to process ${saved.pid}`, () =>
      pidfdSendSignal(pidfd, sent),
    );
    if (!hasReceived && !everybody && !all) throw notRunning(id);
  } finally {
    closeSync(pidfd);
  }
}

/**
 * Kills processes that have outlived init, as runc does: pid 1 of a pid namespace takes all others with it, init in a shared one does not.
 * Returns whether there were any. If another container is in the cgroup now, it is left alone, as at delete. The lock keeps this container
 * from being deleted, and its cgroup from being made anew, meanwhile.
 */
function killOthers(root: string, { id, cgroup, pid, startTime }: SavedState): boolean {
  if (cgroup === "" || !hasEvent(cgroup, "populated 1")) return false;
  const killLocked = ({ saved: now }: LockedContainer) => {
    if (now.pid !== pid || now.startTime !== startTime) return false;
    if (findContainerIn(root, cgroup, id) !== undefined) return false;
    killCgroup(cgroup);
    return true;
  };
  const isGone = () => false;
  return withLockedContainer({ root }, id, killLocked, { missing: isGone, damaged: isGone });
}

/** containerd's shim takes these words for "it is gone already". */
function notRunning(id: string): RuntsError {
  return new RuntsError("container not running", { operation: "kill", errno: "ESRCH", path: id });
}

/** Parses the name of a signal, with or without SIG and in any case, or its number. */
export function parseSignal(text: string): number {
  const number = text === "0" ? 0 : signalNumber(text);
  if (number !== undefined) return number;
  throw new RuntsError(`unknown signal ${JSON.stringify(text)}`, {
    operation: "kill",
    errno: "EINVAL",
    path: text,
  });
}

/** CHLD, CONT, URG and WINCH are ignored by default, and STOP, TSTP, TTIN and TTOU stop a process: signal(7). */
const HARMLESS = new Set([0, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH]);

/** Whether a signal ends a process that does nothing about it. */
export function endsProcess(signal: number): boolean {
  return !HARMLESS.has(signal);
}
