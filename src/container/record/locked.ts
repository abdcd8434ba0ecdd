import type { GlobalOptions } from "../context.ts";
import { checkId } from "./id.ts";
import { lockContainer } from "./lock.ts";
import { containerDirectory, doesNotExist, type SavedState, tryReadState } from "./saved-state.ts";
import { type Status, statusOf } from "./status.ts";

export interface LockedContainer {
  readonly directory: string;
  readonly saved: SavedState;
  readonly status: Status;
}

/** Runs the action under the container's lock: no other operation can change the status meanwhile. */
export function withLockedContainer<T>(
  { root }: GlobalOptions,
  id: string,
  action: (container: LockedContainer) => T,
): T {
  checkId(id);
  const directory = containerDirectory(root, id);
  const lock = lockContainer(directory, id);
  if (lock === undefined) throw doesNotExist(id);
  try {
    const saved = tryReadState(directory);
    if (saved === undefined) throw doesNotExist(id);
    return action({ directory, saved, status: statusOf(directory, saved) });
  } finally {
    lock.release();
  }
}
