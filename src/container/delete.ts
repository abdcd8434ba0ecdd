import { existsSync } from "../../bindings/linux/files.ts";
import { killCgroup, removeCgroup } from "../cgroup/remove.ts";
import { removeScope, type SavedScope } from "../cgroup/systemd/scope.ts";
import { RuntsError } from "../errors.ts";
import { removeGroups } from "../resctrl/group.ts";
import { readValidConfig } from "../spec/config.ts";
import type { Hook } from "../spec/types.ts";
import type { GlobalOptions } from "./context.ts";
import { removeHostMount } from "./create/host-mount.ts";
import { runHooksToTheEnd } from "./hooks/hooks.ts";
import { killInit } from "./process/init-process.ts";
import { killFromDamagedState } from "./record/damaged.ts";
import { lockContainer } from "./record/lock.ts";
import { hookState } from "./record/oci-state.ts";
import {
  checkId,
  containerDirectory,
  doesNotExist,
  removeContainerDirectory,
  type SavedState,
  tryReadState,
} from "./record/saved-state.ts";
import { findContainerIn, type Status, statusOf } from "./record/status.ts";

export interface DeleteOptions {
  readonly force: boolean;
  /** The container that is meant: once it is gone, somebody may have made another one with its id, which stays. */
  readonly only?: SavedState;
}

/**
 * Steps 11 to 13 of the lifecycle (runtime.md): undoes what `create` has made, then runs the poststop hooks. A container that
 * was never started is deleted as well: every runtime does so, and engines rely on it. With `force` a running one is killed
 * first, and an unknown id is no error.
 */
export function deleteContainer(context: GlobalOptions, id: string, { force, only }: DeleteOptions): void {
  checkId(id);
  const directory = containerDirectory(context.root, id);
  const lock = existsSync(directory) ? lockContainer(directory, id) : undefined;
  if (lock === undefined) {
    if (force) return;
    throw doesNotExist(id);
  }
  try {
    const saved = readOrEnd(context, id, directory, force);
    if (saved === undefined && !force) throw doesNotExist(id);
    if (saved === undefined) {
      removeContainerDirectory(directory);
      return;
    }
    if (only !== undefined && (saved.pid !== only.pid || saved.startTime !== only.startTime)) return;
    const status = statusOf(directory, saved);
    checkDeletable(id, status, force);
    destroy(context, directory, saved, { status, force });
  } finally {
    lock.release();
  }
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
  // Of a create that was cut short, init may still wait for its start.
  const hadEnded = status === "stopped" && saved.creator === null;
  if (!hadEnded) end(saved);
  if (saved.scope !== undefined) removeUnit(context, saved.scope, saved.cgroup);
  // This kills whatever has outlived init, too.
  if (saved.cgroup !== "") removeCgroup(saved.cgroup, () => !hadEnded || isUnshared(context, saved));
  if (saved.resctrl !== undefined) removeGroups(saved.resctrl);
  if (saved.hostMount !== undefined) removeHostMount(saved.hostMount);
  const runPoststop = saved.hasPoststop ? poststopOf(context, directory, saved, force) : undefined;
  removeContainerDirectory(directory);
  runPoststop?.();
}

/** A damaged record keeps nobody from deleting the container by force: what can be told of it is ended and removed here. */
function readOrEnd(context: GlobalOptions, id: string, directory: string, force: boolean) {
  try {
    return tryReadState(directory);
  } catch (error) {
    if (!force || !(error instanceof RuntsError)) throw error;
    context.log.warn(`${error.message}; no poststop hooks are run`);
    const cgroup = killFromDamagedState(context, id, directory);
    if (cgroup !== "") removeCgroup(cgroup);
    return undefined;
  }
}

function checkDeletable(id: string, status: Status, force: boolean): void {
  if (force || status === "stopped" || status === "created") return;
  throw new RuntsError(`cannot delete container ${id} that is not stopped: ${status}`, {
    operation: "delete",
    path: id,
  });
}

/** Ends every process of the container, and waits for the end of init. */
function end(saved: SavedState): void {
  if (saved.cgroup !== "") killCgroup(saved.cgroup);
  if (killInit(saved.pid, saved.startTime)) return;
  throw new RuntsError(`container ${saved.id}: init (pid ${saved.pid}) has not ended after SIGKILL`, {
    operation: "delete",
    errno: "EBUSY",
    path: saved.id,
  });
}

/** Since its container has ended, a cgroup may have become that of another one, as a whole or in part. */
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
 * The hooks of the saved config, read while it is still there. A failing one is a warning, and the others run. By force the container
 * is deleted also where they can't be read.
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
  return () => runHooksToTheEnd("poststop", hooks, hookState(saved, "stopped"), { cwd: saved.bundle }, warn);
}
