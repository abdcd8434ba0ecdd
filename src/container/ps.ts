import { processesOf } from "../cgroup/files.ts";
import { RuntsError } from "../errors.ts";
import type { GlobalOptions } from "./context.ts";
import { processesOfNamespace } from "./namespace-processes.ts";
import { readSavedState } from "./record/saved-state.ts";
import { statusOf } from "./record/status.ts";

/**
 * Pids, in the pid namespace of the caller, of the container's processes: those of its cgroup and of the cgroups below it. A
 * container that has stopped may still have some, if it shared its pid namespace.
 */
export function listProcesses({ root }: GlobalOptions, id: string): number[] {
  const { directory, saved } = readSavedState(root, id);
  // 0 stands for a process that the caller's pid namespace does not see.
  if (saved.cgroup !== "") return processesOf(saved.cgroup).filter((pid) => pid !== 0);
  if (statusOf(directory, saved) === "stopped") return [];
  if (saved.ownPidNamespace) return processesOfNamespace(saved.pid);
  throw new RuntsError(
    `container ${id} has neither a cgroup nor a pid namespace: without them its processes can't be listed`,
    {
      operation: "ps",
      path: id,
    },
  );
}
