import { killCgroup, removeCgroup } from "../cgroup/remove.ts";
import { removeScope, type SavedScope } from "../cgroup/systemd/scope.ts";
import { RuntsError } from "../errors.ts";
import { removeGroups } from "../resctrl/group.ts";
import { readValidConfig } from "../spec/config.ts";
import type { Hook } from "../spec/types.ts";
import type { GlobalOptions } from "./context.ts";
import { removeHostMount } from "./create/host-mount.ts";
import { runHooksToTheEnd } from "./hooks/hooks.ts";
import { killProcess, waitForProcess } from "./process/saved-process.ts";
import { killFromDamagedState } from "./record/damaged.ts";
import { type LockedContainer, withLockedContainer } from "./record/lock.ts";
import { hookState } from "./record/oci-state.ts";
import { removeContainerDirectory, type SavedProcess, type SavedState } from "./record/saved-state.ts";
import { findContainerIn, type Status } from "./record/status.ts";
import { finishRecording } from "./seccomp/record/finish.ts";

export interface DeleteOptions {
  readonly force: boolean;
  /** The container to delete: once it is gone, somebody may have made another one with its id, which stays. */
  readonly only?: SavedState;
}

/**
 * Steps 11 to 13 of the lifecycle (runtime.md): undoes what `create` has made, then runs the poststop hooks. A container that
 * was never started is deleted as well: every runtime does so, and engines rely on it. With `force` a running one is killed
 * first, and an unknown id is not an error.
 */
export function deleteContainer(context: GlobalOptions, id: string, { force, only }: DeleteOptions): void {
  const deleteLocked = ({ directory, saved, status }: LockedContainer) => {
    if (only !== undefined && (saved.pid !== only.pid || saved.startTime !== only.startTime)) return;
    checkDeletable(id, status, force);
    destroy(context, directory, saved, { status, force });
  };
  withLockedContainer(context, id, deleteLocked, {
    ...(force && {
      missing: () => undefined,
      damaged: (directory, damage) => destroyDamaged(context, id, directory, damage),
    }),
  });
}

/**
 * Steps 12 and 13 of the lifecycle: ends all processes of the container, undoes what `create` has made and runs the poststop hooks.
 * Precondition: the caller has the container's lock.
 */
export function destroy(
  context: GlobalOptions,
  directory: string,
  saved: SavedState,
  { status, force }: { readonly status: Status; readonly force: boolean },
): void {
  if (saved.criu !== undefined) endCriu(saved.criu);
  // If a create was cut short, its init may still wait for `start`.
  const hadEnded = status === "stopped" && saved.creator === null;
  if (!hadEnded) end(saved);
  if (saved.scope !== undefined) removeUnit(context, saved.scope, saved.cgroup);
  // This kills whatever has outlived init, too.
  if (saved.cgroup !== "") removeCgroup(saved.cgroup, () => !hadEnded || isUnshared(context, saved));
  if (saved.recorder !== undefined) finishRecording(saved.recorder, (message) => context.log.warn(message));
  if (saved.resctrl !== undefined) removeGroups(saved.resctrl);
  if (saved.hostMount !== undefined) removeHostMount(saved.hostMount);
  const runPoststop = saved.hasPoststop ? poststopOf(context, directory, saved, force) : undefined;
  removeContainerDirectory(directory);
  runPoststop?.();
}

/** Ends and removes as much of a container as is known without its record (`damage` is undefined), or with a damaged one. */
function destroyDamaged(
  context: GlobalOptions,
  id: string,
  directory: string,
  damage: RuntsError | undefined,
): void {
  if (damage !== undefined) {
    context.log.warn(`${damage.message}; no poststop hooks are run`);
    const cgroup = killFromDamagedState(context, id, directory);
    if (cgroup !== "") removeCgroup(cgroup);
  }
  removeContainerDirectory(directory);
}

function checkDeletable(id: string, status: Status, force: boolean): void {
  if (force || status === "stopped" || status === "created") return;
  throw new RuntsError(`cannot delete container ${id} that is not stopped: ${status}`, {
    operation: "delete",
    path: id,
  });
}

/**
 * If a restore was cut short, criu sees at its next report that the runtime has gone. Then it undoes what it has done so far, and ends.
 * If it were killed at once, its folder in /tmp would stay.
 */
function endCriu({ pid, startTime }: SavedProcess): void {
  if (!waitForProcess(pid, startTime)) killProcess(pid, startTime);
}

/** Ends every process of the container, and waits for the end of init. */
function end(saved: SavedState): void {
  if (saved.cgroup !== "") killCgroup(saved.cgroup);
  if (killProcess(saved.pid, saved.startTime)) return;
  throw new RuntsError(`container ${saved.id}: init (pid ${saved.pid}) has not ended after SIGKILL`, {
    operation: "delete",
    errno: "EBUSY",
    path: saved.id,
  });
}

/** Since the container has ended, another one may have got its cgroup, as a whole or in part. */
function isUnshared({ root, log }: GlobalOptions, { id, cgroup }: SavedState): boolean {
  const other = findContainerIn(root, cgroup, id);
  if (other === undefined) return true;
  log.warn(`cgroup ${cgroup} stays: container ${other} is in it`);
  return false;
}

/** Without systemd the cgroup can be removed all the same, which makes systemd drop its unit as soon as it sees it. */
function removeUnit({ log }: GlobalOptions, scope: SavedScope, cgroup: string): void {
  try {
    removeScope(scope, cgroup);
  } catch (error) {
    log.warn(`unit ${scope.unit}: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * Reads the poststop hooks of the saved config, while it is still there. Returns the function that runs them; a failing one is a warning,
 * and the others run. With `force`, hooks that can't be read are a warning as well.
 */
function poststopOf(
  context: GlobalOptions,
  directory: string,
  saved: SavedState,
  force: boolean,
): () => void {
  const warn = (message: string) => context.log.warn(message);
  let hooks: readonly Hook[] = [];
  try {
    hooks = readValidConfig(directory).hooks?.poststop ?? [];
  } catch (error) {
    if (!force || !(error instanceof RuntsError)) throw error;
    warn(`${error.message}; no poststop hooks are run`);
  }
  const place = { cwd: saved.bundle, output: saved.allowedAnnotations };
  return () => runHooksToTheEnd("poststop", hooks, hookState(saved, "stopped"), place, warn);
}
