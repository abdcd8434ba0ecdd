import { appendFileSync, readFileSync, readlinkSync } from "node:fs";

/**
 * The one place that all operations of the test build pass through: each call of a C function, system calls among them, and each
 * system call of the programs for the stub. It counts them, and makes the one that it was told to go wrong.
 */

/** What `--fault=JSON`, the first argument of the test build, asks for. */
export interface Fault {
  /** Number of the operation, from 1. */
  readonly at: number;
  /**
   * - `fail`: it fails with `errno`, without being carried out;
   * - `kill-runtime`: the runtime is killed before it; of one that the stub carries out, while the stub stands before it;
   * - `kill-stub`: every process that the runtime has made, or `victim`, is killed before it; of one that the stub carries out, the
   *   stub dies of it;
   * - `stall`: the stub never comes back from it;
   * - `list`: nothing goes wrong, and all operations are reported.
   */
  readonly mode: "fail" | "kill-runtime" | "kill-stub" | "stall" | "list";
  readonly errno: number;
  readonly victim?: number;
  /** File that gets a line of JSON about the operation, if there was one of this number. */
  readonly report: string;
}

/** What is known of an operation, for whoever judges what came of it. */
export interface OperationFacts {
  readonly side: "runtime" | "stub";
  readonly call: string;
  readonly path: string;
  readonly purpose?: string;
  readonly pointer?: string;
  /** It is carried out only if an earlier result is as it should be. */
  readonly guarded?: boolean;
  readonly tolerated?: readonly string[];
}

let fault: Fault | undefined;
let count = 0;
/** Calls until the runtime is killed, once that is decided. */
let callsLeft = Number.POSITIVE_INFINITY;

/** Begins to count, and takes the argument out of argv. What was counted before a thaw was another process's. */
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

/** Who waits for a stub that never answers shall not do so for minutes. */
export const STALLED_WAIT_MS = 300;

export function isStalling(): boolean {
  return fault?.mode === "stall";
}

/** Counts an operation. Returns the fault if it is this one's turn. */
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

/** What the stub has to wait for when it is the runtime that dies: longer than it takes whoever deletes the container to come. */
export const PAUSE_MS = 100;

/** Lets the program that has just been made go out, and no more. */
export function killRuntimeAfterSending(): void {
  callsLeft = 2;
}

export function killRuntime(): never {
  // Of the kernel: the engine remembers the pid of the process that it was frozen in.
  process.kill(Number(readlinkSync("/proc/self")), "SIGKILL");
  throw new Error("killed");
}

/** The init of a pid namespace does not end before whoever else is in there is reaped, by the runtime. */
const LONGEST_END_MS = 200;

/** Kills what the runtime has made, and waits until the kernel has done so. */
export function killMade({ victim }: Fault): void {
  const children = () => readFileSync("/proc/thread-self/children", "latin1").trim().split(" ");
  const pids = victim === undefined ? children() : [String(victim)];
  for (const pid of pids.filter((text) => text !== "").map(Number)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      continue; // It has ended before.
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
