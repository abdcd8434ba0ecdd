import { readFileSync } from "../../bindings/linux/files.ts";
import { killAndReap } from "../../bindings/linux/reap.ts";
import { STUB_NAME } from "../../bindings/stub/client.ts";

/** Clones that are not lost: a process that uses the library may have inits of other containers among its children. */
const known = new Set<number>();

export function rememberClone(pid: number): void {
  known.add(pid);
}

/**
 * Ends the clone of a stub that is gone, if its pid is not known because the stub has told none, or a wrong one. It is found among the kernel's list
 * of children, by the name that the runtime has given it: a pid that a stub has told is never killed. Before the clone is reaped, the init
 * of its pid namespace can't end: pid_namespaces(7).
 */
export function reapLostClone(): void {
  for (const pid of childrenOfThread()) {
    if (!known.has(pid) && nameOf(pid) === STUB_NAME) killAndReap(pid);
  }
}

/** proc_tid_children(5); none on a kernel without CONFIG_PROC_CHILDREN. */
function childrenOfThread(): number[] {
  const text = contentOf("/proc/thread-self/children").trimEnd();
  return text === "" ? [] : text.split(" ").map(Number);
}

/** proc_pid_comm(5); empty for a process that is gone. */
function nameOf(pid: number): string {
  return contentOf(`/proc/${pid}/comm`).trimEnd();
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
