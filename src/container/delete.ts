import { existsSync, rmSync } from "node:fs";
import { killCgroup, removeCgroup } from "../cgroup/remove.ts";
import { RuntsError } from "../errors.ts";
import { readConfig } from "../spec/config.ts";
import { checkId } from "./id.ts";
import { killInit } from "./init-process.ts";
import { lockContainer } from "./lock.ts";
import type { Context } from "./options.ts";
import { containerDirectory, doesNotExist, type SavedState, tryReadState } from "./saved-state.ts";
import { type Status, statusOf } from "./state.ts";

/**
 * Steps 11 to 13 of the lifecycle (runtime.md): undoes what `create` has made, then runs the poststop hooks. A container that
 * was never started is deleted as well: every runtime does so, and engines rely on it. With `force` a running one is killed
 * first, and an unknown id is no error.
 */
export async function deleteContainer(
  context: Context,
  id: string,
  { force }: { readonly force: boolean },
): Promise<void> {
  checkId(id);
  const directory = containerDirectory(context.root, id);
  const lock = existsSync(directory) ? lockContainer(directory, id) : undefined;
  if (lock === undefined) {
    if (force) return;
    throw doesNotExist(id);
  }
  try {
    const saved = tryReadState(directory);
    if (saved === undefined && !force) throw doesNotExist(id);
    if (saved !== undefined) {
      checkDeletable(id, statusOf(directory, saved), force);
      destroy(saved);
    }
    const runPoststop =
      saved?.hasPoststop === true ? await loadPoststop(context, directory, saved) : undefined;
    rmSync(directory, { recursive: true, force: true });
    runPoststop?.();
  } finally {
    lock.release();
  }
}

function checkDeletable(id: string, status: Status, force: boolean): void {
  if (force || status === "stopped" || status === "created") return;
  throw new RuntsError(`cannot delete container ${id} that is not stopped: ${status}`, {
    operation: "delete",
    path: id,
  });
}

/** Ends every process of the container, also those that have outlived its init, and removes its cgroup. */
function destroy(saved: SavedState): void {
  if (saved.cgroup !== "") killCgroup(saved.cgroup);
  if (!killInit(saved.pid, saved.startTime)) {
    throw new RuntsError(`container ${saved.id}: init (pid ${saved.pid}) has not ended after SIGKILL`, {
      operation: "delete",
      errno: "EBUSY",
      path: saved.id,
    });
  }
  if (saved.cgroup !== "") removeCgroup(saved.cgroup);
}

/** The hooks of the saved config, read while it is still there. A failing one is a warning, and the others run. */
async function loadPoststop(context: Context, directory: string, saved: SavedState): Promise<() => void> {
  const { hookState, runHooksToTheEnd } = await import("./hooks.ts");
  const hooks = readConfig(directory).hooks?.poststop ?? [];
  const warn = (message: string) => context.log.warn(message);
  return () => runHooksToTheEnd("poststop", hooks, hookState(saved, "stopped"), saved.bundle, warn);
}
