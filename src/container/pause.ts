import { setFrozen } from "../cgroup/freeze.ts";
import { RuntsError } from "../errors.ts";
import type { GlobalOptions } from "./context.ts";
import { withLockedContainer } from "./record/lock.ts";
import type { SavedState } from "./record/saved-state.ts";

/** Suspends all processes of the container, by the freezer of its cgroup: cgroups(7), cgroup.freeze. */
export function pauseContainer(context: GlobalOptions, id: string): void {
  withLockedContainer(context, id, ({ saved, status }) => {
    if (status !== "running" && status !== "created") throw wrongStatus("pause", id, "container not running");
    setFrozen(cgroupOf(saved), true);
  });
}

export function resumeContainer(context: GlobalOptions, id: string): void {
  withLockedContainer(context, id, ({ saved, status }) => {
    if (status !== "paused") throw wrongStatus("resume", id, "container not paused");
    setFrozen(cgroupOf(saved), false);
  });
}

/** The messages are runc's. */
function wrongStatus(operation: string, id: string, message: string): RuntsError {
  return new RuntsError(message, { operation, path: id });
}

function cgroupOf({ id, cgroup }: SavedState): string {
  if (cgroup !== "") return cgroup;
  throw new RuntsError(`container ${id} has no cgroup: without one it can't be paused`, {
    operation: "pause",
    path: id,
  });
}
