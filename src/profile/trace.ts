import { textOfLines } from "../../bindings/abi/printable.ts";
import type { Recording, TimedCall } from "./recording.ts";

/** A profile as JSON that Perfetto and chrome://tracing open: Trace Event Format, "JSON Object Format". */

interface TraceEvent {
  readonly name: string;
  /** X is a slice with a begin and a duration, M names a process or thread. */
  readonly ph: "X" | "M";
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly args: Readonly<Record<string, string>>;
}

export interface Trace {
  readonly displayTimeUnit: "ms";
  readonly otherData: Readonly<Record<string, string>>;
  readonly traceEvents: readonly TraceEvent[];
}

const PID = 1;

/** Each process is a row, which shows the purposes and, below them, the calls. */
export function traceOf({ calls, command, end }: Pick<Recording, "calls" | "command" | "end">): Trace {
  const rows = ["runtime", ...new Set(calls.map(({ by }) => by).filter((by) => by !== "runtime"))];
  const tid = (by: string) => rows.indexOf(by) + 1;
  const metadata: TraceEvent[] = [
    { name: "process_name", ph: "M", pid: PID, tid: 1, args: { name: `runts ${command}` } },
    ...rows.map(
      (name, index): TraceEvent => ({
        name: "thread_name",
        ph: "M",
        pid: PID,
        tid: index + 1,
        args: { name },
      }),
    ),
  ];
  const slice = (cat: string, name: string, { by, begin, end }: Span, args: TraceEvent["args"]) =>
    ({
      name,
      ph: "X",
      pid: PID,
      tid: tid(by),
      ts: rounded(begin),
      dur: rounded(Math.max(0, end - begin)),
      cat,
      args,
    }) as const;
  return {
    displayTimeUnit: "ms",
    otherData: { command },
    traceEvents: [
      ...metadata,
      slice("command", command, { by: "runtime", begin: 0, end }, {}),
      ...groupsOf(calls).map((group) => slice("purpose", group.purpose, group, { pointer: group.pointer })),
      ...calls.map((call) =>
        slice("call", call.call, call, {
          ...(call.path !== "" && { path: call.path }),
          ...(call.purpose !== "" && { purpose: call.purpose }),
          ...(call.pointer !== "" && { pointer: call.pointer }),
          ...(call.errno !== "" && { errno: call.errno }),
        }),
      ),
    ],
  };
}

/** A time span of a process. */
type Span = Pick<TimedCall, "by" | "begin" | "end">;

function rounded(microseconds: number): number {
  return Math.round(microseconds * 1000) / 1000;
}

/** Consecutive calls of one process with the same purpose and pointer. */
export interface Group {
  readonly by: string;
  readonly purpose: string;
  readonly pointer: string;
  /** Microseconds since the recording began. */
  readonly begin: number;
  readonly end: number;
  readonly calls: readonly TimedCall[];
}

/** Groups calls, which are in the order of their begin. Calls without a purpose are left out. */
export function groupsOf(calls: readonly TimedCall[]): Group[] {
  const groups: Group[] = [];
  const last = new Map<string, number>();
  for (const call of calls) {
    const { by, purpose, pointer, begin, end } = call;
    if (purpose === "") continue;
    const at = last.get(by) ?? -1;
    const open = groups[at];
    if (open !== undefined && open.purpose === purpose && open.pointer === pointer) {
      groups[at] = { ...open, end, calls: [...open.calls, call] };
      continue;
    }
    last.set(by, groups.length);
    groups.push({ by, purpose, pointer, begin, end, calls: [call] });
  }
  return groups;
}

const SHOWN = 12;

/** The longest steps, the time of each process, and the file's viewer, for a terminal. */
export function summaryOf(
  { calls, command, end }: Pick<Recording, "calls" | "command" | "end">,
  file: string,
  viewer: string,
): string {
  const ms = (microseconds: number) => `${(microseconds / 1000).toFixed(3)} ms`.padStart(12);
  const byProcess = new Map<string, number>();
  for (const { by, begin, end: to } of calls) byProcess.set(by, (byProcess.get(by) ?? 0) + to - begin);
  const slowest = groupsOf(calls)
    .sort((one, other) => other.end - other.begin - (one.end - one.begin))
    .slice(0, SHOWN);
  const lines = [
    `${ms(end)}  ${command}, of which in system calls:`,
    ...[...byProcess].map(([by, time]) => `${ms(time)}  ${by}`),
    "The longest steps:",
    ...slowest.map(
      ({ by, purpose, pointer, begin, end: to }) =>
        `${ms(to - begin)}  ${by}: ${purpose}${pointer === "" ? "" : `  ${pointer}`}`,
    ),
    `All of it is in ${file}, for ${viewer}`,
  ];
  return textOfLines(lines);
}
