import { processesOf } from "../cgroup/files.ts";
import { RuntsError } from "../errors.ts";
import { checkId } from "./id.ts";
import type { Context } from "./options.ts";
import { containerDirectory, doesNotExist, tryReadState } from "./saved-state.ts";
import { statusOf } from "./state.ts";

/**
 * Pids, in the pid namespace of the caller, of the container's processes: those of its cgroup and of the cgroups below it. A
 * container that has stopped may still have some, if it shared its pid namespace.
 */
export function listProcesses({ root }: Context, id: string): number[] {
  checkId(id);
  const directory = containerDirectory(root, id);
  const saved = tryReadState(directory);
  if (saved === undefined) throw doesNotExist(id);
  // 0 stands for a process that the caller's pid namespace does not see.
  if (saved.cgroup !== "") return processesOf(saved.cgroup).filter((pid) => pid !== 0);
  if (statusOf(directory, saved) === "stopped") return [];
  throw new RuntsError(`container ${id} has no cgroup: without one its processes can't be listed`, {
    operation: "ps",
    path: id,
  });
}
