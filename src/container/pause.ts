import { setFrozen } from "../cgroup/freeze.ts";
import { RuntsError } from "../errors.ts";
import { checkId } from "./id.ts";
import { lockContainer } from "./lock.ts";
import type { Context } from "./options.ts";
import { containerDirectory, doesNotExist, type SavedState, tryReadState } from "./saved-state.ts";
import { type Status, statusOf } from "./state.ts";

/** Suspends all processes of the container, by the freezer of its cgroup: cgroups(7), cgroup.freeze. */
export function pauseContainer(context: Context, id: string): void {
  withContainer(context, id, (saved, status) => {
    if (status !== "running" && status !== "created") throw wrongStatus("pause", id, "container not running");
    setFrozen(cgroupOf(saved), true);
  });
}

export function resumeContainer(context: Context, id: string): void {
  withContainer(context, id, (saved, status) => {
    if (status !== "paused") throw wrongStatus("resume", id, "container not paused");
    setFrozen(cgroupOf(saved), false);
  });
}

/** The status can't change by another operation while the action runs. */
function withContainer(
  { root }: Context,
  id: string,
  action: (saved: SavedState, status: Status) => void,
): void {
  checkId(id);
  const directory = containerDirectory(root, id);
  const lock = lockContainer(directory, id);
  if (lock === undefined) throw doesNotExist(id);
  try {
    const saved = tryReadState(directory);
    if (saved === undefined) throw doesNotExist(id);
    action(saved, statusOf(directory, saved));
  } finally {
    lock.release();
  }
}

/** The words are runc's. */
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
