import { appendFileSync, readFileSync, readlinkSync } from "node:fs";

/**
 * All operations of the test build pass through here: every call of a C function, including system calls, and every system call of a program
 * for the stub. They are counted, and the chosen one is made to fail.
 */

/** The fault that `--fault=JSON`, the first argument of the test build, asks for. */
export interface Fault {
  /** Number of the operation, from 1. */
  readonly at: number;
  /**
   * - `fail`: the operation fails with `errno`, without being executed;
   * - `kill-runtime`: the runtime is killed before the operation; if that runs in the stub, while the stub pauses before it;
   * - `kill-stub`: every process that the runtime has made, or `victim`, is killed before the operation; if that runs in the stub, the stub
   *   crashes in its place;
   * - `stall`: the operation never returns in the stub;
   * - `list`: no fault; all operations are reported.
   */
  readonly mode: "fail" | "kill-runtime" | "kill-stub" | "stall" | "list";
  readonly errno: number;
  readonly victim?: number;
  /** File that gets a line of JSON about the operation, if one with this number was reached. */
  readonly report: string;
}

/** Facts about an operation, for the test that judges the outcome. */
export interface OperationFacts {
  readonly side: "runtime" | "stub";
  readonly call: string;
  readonly path: string;
  readonly purpose?: string;
  readonly pointer?: string;
  /** Whether it runs only if an earlier result allows it. */
  readonly guarded?: boolean;
  readonly tolerated?: readonly string[];
}

let fault: Fault | undefined;
let count = 0;
/** Number of operations until the runtime is killed. */
let callsLeft = Number.POSITIVE_INFINITY;

/** Takes the fault out of argv and starts to count. After a warm start this runs again: earlier operations belonged to another process. */
export function armFrom(argv: string[]): void {
  const option = "--fault=";
  fault = undefined;
  count = 0;
  callsLeft = Number.POSITIVE_INFINITY;
  const index = argv.findIndex((argument) => argument.startsWith(option));
  if (index < 0) return;
  const [argument = ""] = argv.splice(index, 1);
  fault = JSON.parse(argument.slice(option.length));
}

/** Replaces the runtime's time limits of minutes, for tests of a stub that never replies. */
export const STALLED_WAIT_MS = 300;

export function isStalling(): boolean {
  return fault?.mode === "stall";
}

/** Counts an operation. Returns the fault if this is the chosen one. */
export function next(describe: () => OperationFacts): Fault | undefined {
  count += 1;
  callsLeft -= 1;
  if (callsLeft === 0) killRuntime();
  if (fault === undefined) return undefined;
  const isTurn = count === fault.at;
  if (isTurn || fault.mode === "list")
    appendFileSync(fault.report, `${JSON.stringify({ at: count, ...describe() })}\n`);
  return isTurn ? fault : undefined;
}

/** Pause of the stub if the runtime is killed: long enough for the test to begin with the deletion of the container. */
export const PAUSE_MS = 100;

/** Kills the runtime right after it has sent the program that was just encoded. */
export function killRuntimeAfterSending(): void {
  callsLeft = 2;
}

export function killRuntime(): never {
  // From procfs: process.pid is cached, and wrong after a warm start.
  process.kill(Number(readlinkSync("/proc/self")), "SIGKILL");
  throw new Error("killed");
}

/** Bounds the wait: init of a pid namespace ends only after all other processes in it are reaped, which the runtime may have to do. */
const LONGEST_END_MS = 200;

/** Kills the processes that the runtime has made, or the victim, and waits for their end. */
export function killMade({ victim }: Fault): void {
  const children = () => readFileSync("/proc/thread-self/children", "latin1").trim().split(" ");
  const pids = victim === undefined ? children() : [String(victim)];
  for (const pid of pids.filter((text) => text !== "").map(Number)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      continue; // It has ended already.
    }
    const limit = performance.now() + LONGEST_END_MS;
    while (!hasEnded(pid) && performance.now() < limit)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0.2);
  }
}

function hasEnded(pid: number): boolean {
  try {
    return /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return true;
  }
}
