import { readFileSync, readlinkSync } from "../../bindings/linux/files.ts";

/** What proc_pid_stat(5) says of a process. */
export interface ProcessStat {
  /** One letter; Z and X are processes that have ended. */
  readonly state: string;
  readonly startTime: string;
}

/** undefined if there is no such process. */
export function processStat(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  return parseStat(text);
}

export function parseStat(text: string): ProcessStat {
  // The second field is the command in parentheses, and may hold anything: the fields are counted from its end.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const START_TIME = 22 - 3;
  return { state: fields[0] ?? "", startTime: fields[START_TIME] ?? "" };
}

/** Whether the process still is the one that was saved, and has not ended. */
export function isAlive(pid: number, startTime: string): boolean {
  if (pid === 0) return false;
  const stat = processStat(pid);
  return stat !== undefined && stat.startTime === startTime && stat.state !== "Z" && stat.state !== "X";
}

/** Whether a process is the stub, which has not executed the container's program yet. */
export function isStub(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`).startsWith("/memfd:runts-init");
  } catch {
    // Who may not look takes the start socket's word for it.
    return true;
  }
}
