import { SIGKILL } from "../../bindings/abi/signal.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { pidfdSendSignal } from "../../bindings/linux/pidfd.ts";
import { killCgroup } from "../cgroup/remove.ts";
import { RuntsError } from "../errors.ts";
import { openInit } from "./init-process.ts";
import type { Context } from "./options.ts";
import { readSavedState } from "./saved-state.ts";
import { endsProcess, parseSignal } from "./signals.ts";
import { statusOf } from "./state.ts";

/**
 * Sends a signal to the container's init; SIGKILL, where init doesn't take all others with it, to every process of the container.
 * `all` is obsolete, as in runc: its one effect is that a container which has stopped is no error.
 */
export function killContainer(
  { root }: Context,
  id: string,
  signal: string,
  { all }: { readonly all: boolean },
): void {
  const number = parseSignal(signal);
  const { directory, saved } = readSavedState(root, id);
  const status = statusOf(directory, saved);
  const pidfd =
    status === "stopped" || status === "creating" ? undefined : openInit(saved.pid, saved.startTime);
  if (pidfd === undefined) {
    if (!all) throw notRunning(id);
    if (number === SIGKILL && saved.cgroup !== "") killCgroup(saved.cgroup);
    return;
  }
  try {
    // As pid 1 of its namespace, a waiting init is deaf to all signals but SIGKILL: pid_namespaces(7).
    const sent = status === "created" && endsProcess(number) ? SIGKILL : number;
    const everybody = sent === SIGKILL && !saved.ownPidNamespace && saved.cgroup !== "";
    if (everybody) killCgroup(saved.cgroup);
    if (!pidfdSendSignal(pidfd, sent) && !everybody && !all) throw notRunning(id);
  } finally {
    closeSync(pidfd);
  }
}

/** The words that containerd's shim takes for "it is gone already". */
function notRunning(id: string): RuntsError {
  return new RuntsError("container not running", { operation: "kill", errno: "ESRCH", path: id });
}
