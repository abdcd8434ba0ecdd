import { readdirSync } from "../../bindings/linux/directories.ts";
import { readFileSync, readlinkSync } from "../../bindings/linux/files.ts";
import { processesOf } from "../cgroup/files.ts";
import { RuntsError } from "../errors.ts";
import type { GlobalOptions } from "./context.ts";
import { readSavedState } from "./record/saved-state.ts";
import { statusOf } from "./record/status.ts";

/**
 * Lists the container's processes: those of its cgroup and of the cgroups below it. The pids are those of the caller's pid namespace. A
 * container that has stopped may still have processes, if it shared its pid namespace.
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

/**
 * Lists the processes of a container without a cgroup: those in its pid namespace, and their descendants, which may be in namespaces
 * below it. namespaces(7), pid_namespaces(7)
 */
export function processesOfNamespace(init: number): number[] {
  const namespace = pidNamespace(init);
  const pids = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
  const found = new Set<number>(
    pids.filter((pid) => pid === init || (namespace !== "" && pidNamespace(pid) === namespace)),
  );
  // Pids wrap around, so that a child's may be lower than its parent's: repeated until a round finds no further process.
  for (let before = -1; before !== found.size; ) {
    before = found.size;
    for (const pid of pids) if (found.has(parentOf(pid))) found.add(pid);
  }
  return pids.filter((pid) => found.has(pid));
}

/** Returns "" for a process that is gone, or that this user may not inspect: it belongs to none of their containers. */
function pidNamespace(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return "";
  }
}

/** Returns field 4 of proc_pid_stat(5). It is counted from the end of the command, which may hold anything. */
function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return -1;
  }
}
