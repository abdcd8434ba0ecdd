import { WNOHANG } from "../../bindings/abi/signal.ts";
import { trySyscall } from "../../bindings/ffi/syscall.ts";
import { readFileSync } from "../../bindings/linux/files.ts";
import { waitAnyReadable } from "../../bindings/linux/poll.ts";
import { STUB_NAME } from "../../bindings/stub/client.ts";

/** It ends as soon as it sees that its channel is closed. */
const LONGEST_END_MS = 200;

/**
 * Reaps the clone of a stub that was lost before it could tell the number. Its channel is closed; and before it is reaped, the
 * init of its pid namespace can't end: pid_namespaces(7). Only what has ended, and what the runtime has called so, is touched.
 */
export function reapLostClone(): void {
  const deadline = Date.now() + LONGEST_END_MS;
  do {
    const stubs = childrenOfThread().filter((pid) => nameAndStateOf(pid).startsWith(`(${STUB_NAME}) `));
    // There may have been no clone at all.
    if (stubs.length === 0) return;
    for (const pid of stubs) {
      const hasEnded = nameAndStateOf(pid) === `(${STUB_NAME}) Z`;
      if (hasEnded && trySyscall("wait4", Number(pid), null, WNOHANG, null) > 0) return;
    }
    waitAnyReadable([], 1);
  } while (Date.now() < deadline);
}

/** proc_tid_children(5); none on a kernel without CONFIG_PROC_CHILDREN. */
function childrenOfThread(): string[] {
  const text = contentOf("/proc/thread-self/children").trimEnd();
  return text === "" ? [] : text.split(" ");
}

/** proc_pid_stat(5); empty for a process that is gone. */
function nameAndStateOf(pid: string): string {
  return /\(.*\) ./.exec(contentOf(`/proc/${pid}/stat`))?.[0] ?? "";
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
