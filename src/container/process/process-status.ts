import { readdirSync } from "../../../bindings/linux/directories.ts";
import { FileError } from "../../../bindings/linux/file-call.ts";
import { existsSync, readFileSync, readlinkSync } from "../../../bindings/linux/files.ts";
import { STUB_NAME } from "../../../bindings/stub/client.ts";
import { errorCode } from "../../errors.ts";

/** Fields of proc_pid_stat(5). */
export interface ProcessStat {
  /** Whether all threads have ended. If only the first one has, the process is a zombie as well, and runs on in the others. */
  readonly hasEnded: boolean;
  /** Whether its first thread is exiting or has ended: PF_EXITING of linux/sched.h. */
  readonly isEnding: boolean;
  /** Number of threads, those included that have ended but are still there. */
  readonly threads: number;
  readonly startTime: string;
  /** Whether it has been forked and has executed no program since: PF_FORKNOEXEC of linux/sched.h. */
  readonly hasNotExecuted: boolean;
  /** Status word of wait(2) of a process that has ended; 0 also for a caller who may not ptrace(2) the process. */
  readonly exitStatus: number;
}

/** Errors of procfs if there is no such process, or it is not the caller's (`hidepid` of proc(5)). */
const GONE: readonly string[] = ["ENOENT", "ESRCH", "EACCES", "EPERM"];

/** Returns undefined if there is no such process. */
export function processStat(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch (error) {
    if (error instanceof FileError && GONE.includes(error.code)) return undefined;
    throw error;
  }
  return parseStat(text);
}

/** Returns the start time of a process that exists: this one, or a child that is not reaped yet. */
export function startTimeOf(pid: number): string {
  return parseStat(readFileSync(`/proc/${pid}/stat`, "latin1")).startTime;
}

export function parseStat(text: string): ProcessStat {
  // The second field is the command in parentheses, and may hold anything: the fields are counted from its end.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const FLAGS = 9 - 3;
  const NUM_THREADS = 20 - 3;
  const START_TIME = 22 - 3;
  const EXIT_CODE = 52 - 3;
  const PF_EXITING = 0x4;
  const PF_FORKNOEXEC = 0x40;
  const [state] = fields;
  const threads = Number(fields[NUM_THREADS]);
  return {
    hasEnded: state === "X" || (state === "Z" && threads <= 1),
    isEnding: (Number(fields[FLAGS]) & PF_EXITING) !== 0,
    threads,
    startTime: fields[START_TIME] ?? "",
    hasNotExecuted: (Number(fields[FLAGS]) & PF_FORKNOEXEC) !== 0,
    exitStatus: Number(fields[EXIT_CODE]),
  };
}

/** Whether the process is still the one that was saved, and has not ended. */
export function isAlive(pid: number, startTime: string): boolean {
  if (pid === 0) return false;
  const stat = processStat(pid);
  if (stat === undefined || stat.startTime !== startTime) return false;
  return !hasEnded(pid, stat);
}

/**
 * Status word of wait(2) of the saved process, if it has ended and its parent has not reaped it. Returns undefined if it has been reaped or
 * has not ended, or if the caller may not know. Before Linux 5.17 it is that of the first thread, if that has ended before the others.
 */
export function unreapedStatus(pid: number, startTime: string): number | undefined {
  // The link needs the same right as the status, which reads 0 without it. Looked at first: it is also absent once the process is reaped.
  if (pid === 0 || !hasNoNamespaces(`/proc/${pid}`)) return undefined;
  const stat = processStat(pid);
  return stat?.startTime === startTime && hasEnded(pid, stat) ? stat.exitStatus : undefined;
}

function hasEnded(pid: number, stat: ProcessStat): boolean {
  return stat.hasEnded || (stat.isEnding && hasLeftNamespaces(pid));
}

/**
 * Whether all threads have left their namespaces, the last thing that an exiting process releases. Pid 1 of a pid namespace then waits
 * until all other processes in it are reaped, and only then becomes a zombie. The parent of a process of `exec --detach` may never reap
 * it (pid_namespaces(7), zap_pid_ns_processes() in kernel/pid_namespace.c).
 */
function hasLeftNamespaces(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  try {
    const threads = readdirSync(tasks);
    if (!threads.every((thread) => hasNoNamespaces(`${tasks}/${thread}`))) return false;
    // A thread may have made another one since they were listed, and the list ends where a thread goes meanwhile. The kernel counts all:
    // if those of the list are still there, and there are no more, all have left.
    const count = processStat(pid)?.threads ?? 0;
    return threads.length >= count && threads.every((thread) => existsSync(`${tasks}/${thread}`));
  } catch (error) {
    if (error instanceof FileError && GONE.includes(error.code)) return true;
    throw error;
  }
}

function hasNoNamespaces(task: string): boolean {
  try {
    readlinkSync(`${task}/ns/mnt`);
    return false;
  } catch (error) {
    return errorCode(error) === "ENOENT";
  }
}

/** Whether a process is the stub, which has not executed the container's program yet. */
export function isStub(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`).startsWith(`/memfd:${STUB_NAME}`);
  } catch {
    // A caller who may not look has to rely on the start socket.
    return true;
  }
}
