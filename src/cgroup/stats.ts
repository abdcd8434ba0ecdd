import { readdirSync } from "../../bindings/linux/directories.ts";
import { readFileSync } from "../../bindings/linux/files.ts";
import { errorCode } from "../errors.ts";
import { processesOf } from "./files.ts";

/**
 * Resource usage of a cgroup, under the names of `runc events` (types/events.go). As there, an optional member that is zero is left
 * out, and so is everything that the kernel does not report, for example because a controller is missing.
 */
export interface Stats {
  readonly cpu: {
    /** Nanoseconds. */
    readonly usage?: { readonly total?: bigint; readonly kernel: bigint; readonly user: bigint };
    readonly throttling?: Counts;
    readonly psi?: Pressure;
  };
  /** Exists in cgroup v1 only: all zeros. */
  readonly cpuset: Counts;
  readonly memory: {
    readonly cache?: bigint;
    readonly usage?: MemoryEntry;
    readonly swap?: MemoryEntry;
    /** All of memory.stat. */
    readonly raw?: Counts;
    readonly psi?: Pressure;
  };
  readonly pids: Counts;
  readonly blkio: {
    readonly ioServiceBytesRecursive?: readonly BlockEntry[];
    readonly ioServicedRecursive?: readonly BlockEntry[];
    readonly psi?: Pressure;
  };
  /** By page size, as in `2MB`. */
  readonly hugetlb: Readonly<Record<string, { readonly usage?: bigint; readonly failcnt: bigint }>>;
  readonly intel_rdt: Readonly<Record<string, never>>;
  /** libcontainer's own network interfaces, which a config.json can't have. */
  readonly network_interfaces: null;
}

type Counts = Readonly<Record<string, bigint>>;

interface MemoryEntry {
  /** Bytes; 2^64 - 1 if unlimited. */
  readonly limit: bigint;
  /** Bytes. */
  readonly usage?: bigint;
  /** The highest usage so far, in bytes. */
  readonly max?: bigint;
  /** How often the limit was hit. */
  readonly failcnt: bigint;
}

interface BlockEntry {
  readonly op: string;
  readonly major?: bigint;
  readonly minor?: bigint;
  readonly value?: bigint;
}

/** Pressure stall information: averages in percent of the time, the total in microseconds. */
export interface Pressure {
  readonly some?: PressureLine;
  readonly full?: PressureLine;
}

interface PressureLine {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly total: bigint;
}

const UNLIMITED = (1n << 64n) - 1n;

export function readStats(directory: string): Stats {
  const read = (file: string) => readText(directory, file);
  return {
    cpu: { ...cpuStats(read("cpu.stat")), ...pressureOf(read("cpu.pressure")) },
    cpuset: CPUSET_OF_V1,
    memory: { ...memoryStats(read), ...pressureOf(read("memory.pressure")) },
    pids: pidStats(directory, read),
    blkio: { ...blockStats(read("io.stat") ?? ""), ...pressureOf(read("io.pressure")) },
    hugetlb: hugetlbStats(directory, read),
    intel_rdt: {},
    network_interfaces: null,
  };
}

/** Stats of a container without a cgroup: the kernel accounts nothing for it. */
export function noStats(): Stats {
  return {
    cpu: cpuStats(undefined),
    cpuset: CPUSET_OF_V1,
    memory: {},
    pids: {},
    blkio: {},
    hugetlb: {},
    intel_rdt: {},
    network_interfaces: null,
  };
}

const CPUSET_OF_V1: Counts = {
  cpu_exclusive: 0n,
  mem_hardwall: 0n,
  mem_exclusive: 0n,
  memory_migrate: 0n,
  memory_spread_page: 0n,
  memory_spread_slab: 0n,
  memory_pressure: 0n,
  sched_load_balance: 0n,
  sched_relax_domain_level: 0n,
};

/** Returns the text of a file of the cgroup, undefined if there is none. */
type Read = (file: string) => string | undefined;

/** Some kernels have the PSI files, but refuse to read them (EOPNOTSUPP) unless booted with psi=1. */
function readText(directory: string, file: string): string | undefined {
  try {
    return readFileSync(`${directory}/${file}`, "latin1");
  } catch (error) {
    // EISDIR: a child cgroup may have the name of a file that this kernel lacks.
    if (["ENOENT", "ENODEV", "EOPNOTSUPP", "ENOTSUP", "EISDIR"].includes(errorCode(error))) return undefined;
    throw error;
  }
}

/** Parses a "flat keyed" file (cgroup-v2.rst): a name and a number per line. */
function countsOf(text: string | undefined): Map<string, bigint> {
  const counts = new Map<string, bigint>();
  for (const line of (text ?? "").split("\n")) {
    const [name = "", value = ""] = line.split(" ");
    if (/^\d+$/.test(value)) counts.set(name, BigInt(value));
  }
  return counts;
}

function cpuStats(text: string | undefined): Stats["cpu"] {
  const counts = countsOf(text);
  const nanoseconds = (name: string) => (counts.get(name) ?? 0n) * 1000n;
  const throttling = nonZero({
    periods: counts.get("nr_periods"),
    throttledPeriods: counts.get("nr_throttled"),
    throttledTime: nanoseconds("throttled_usec"),
  });
  return {
    ...(counts.size > 0 && {
      usage: {
        ...nonZero({ total: nanoseconds("usage_usec") }),
        kernel: nanoseconds("system_usec"),
        user: nanoseconds("user_usec"),
      },
    }),
    ...(Object.keys(throttling).length > 0 && { throttling }),
  };
}

function memoryStats(read: Read): Stats["memory"] {
  const raw = countsOf(read("memory.stat"));
  const usage = memoryEntry(read, "memory");
  const swap = memoryEntry(read, "memory.swap");
  return {
    ...nonZero({ cache: raw.get("file") }),
    ...(usage !== undefined && { usage }),
    ...(usage !== undefined && swap !== undefined && { swap: memoryAndSwap(usage, swap) }),
    ...(raw.size > 0 && { raw: Object.fromEntries(raw) }),
  };
}

function memoryEntry(read: Read, name: string): MemoryEntry | undefined {
  const current = read(`${name}.current`);
  if (current === undefined) return undefined;
  return {
    limit: limitOf(read(`${name}.max`)),
    ...nonZero({ usage: numberOf(current), max: numberOf(read(`${name}.peak`)) }),
    failcnt: countsOf(read(`${name}.events`)).get("max") ?? 0n,
  };
}

/** Consumers expect the sum of memory and swap, as cgroup v1 counts it. No `max`: the two peaks may have been at different times. */
function memoryAndSwap(memory: MemoryEntry, swap: MemoryEntry): MemoryEntry {
  const unlimited = swap.limit === UNLIMITED || memory.limit === UNLIMITED;
  return {
    limit: unlimited ? UNLIMITED : memory.limit + swap.limit,
    ...nonZero({ usage: (memory.usage ?? 0n) + (swap.usage ?? 0n) }),
    failcnt: swap.failcnt,
  };
}

/** Counts the processes where the pids controller is missing. No limit is left out, as a zero. */
function pidStats(directory: string, read: Read): Counts {
  const current = read("pids.current");
  if (current === undefined) return nonZero({ current: BigInt(processesOf(directory).length) });
  const limit = limitOf(read("pids.max"));
  return nonZero({ current: numberOf(current), limit: limit === UNLIMITED ? 0n : limit });
}

const BLOCK_COUNTS = [
  ["ioServiceBytesRecursive", "rbytes", "Read"],
  ["ioServiceBytesRecursive", "wbytes", "Write"],
  ["ioServicedRecursive", "rios", "Read"],
  ["ioServicedRecursive", "wios", "Write"],
] as const;

/** Parses io.stat: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`, or `8:0` alone for a device without I/O. */
function blockStats(text: string): Stats["blkio"] {
  const tables: { ioServiceBytesRecursive?: BlockEntry[]; ioServicedRecursive?: BlockEntry[] } = {};
  for (const line of text.split("\n")) {
    const [, major, minor, rest = ""] = /^(\d+):(\d+) (.*)$/.exec(line) ?? [];
    if (major === undefined || minor === undefined) continue;
    const device = nonZero({ major: BigInt(major), minor: BigInt(minor) });
    for (const [table, name, op] of BLOCK_COUNTS) {
      const value = new RegExp(`(?:^| )${name}=(\\d+)`).exec(rest)?.[1];
      if (value === undefined) continue;
      tables[table] ??= [];
      tables[table].push({ ...device, op, ...nonZero({ value: BigInt(value) }) });
    }
  }
  return tables;
}

/** Reports reservations where the kernel counts them (since 5.7), as they are what limits a container. */
function hugetlbStats(directory: string, read: Read): Stats["hugetlb"] {
  const sizes: Record<string, { usage?: bigint; failcnt: bigint }> = {};
  for (const name of filesOf(directory)) {
    const size = /^hugetlb\.([^.]+)\.current$/.exec(name)?.[1];
    if (size === undefined) continue;
    const usage = numberOf(read(`hugetlb.${size}.rsvd.current`) ?? read(name));
    sizes[size] = {
      ...nonZero({ usage }),
      failcnt: countsOf(read(`hugetlb.${size}.events`)).get("max") ?? 0n,
    };
  }
  return sizes;
}

function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** The controllers whose pressure the kernel reports. */
export type PressureResource = "cpu" | "memory" | "io";

/** Pressure of a cgroup; undefined if the kernel reports none. */
export function readPressure(directory: string, resource: PressureResource): Pressure | undefined {
  return pressureOf(readText(directory, `${resource}.pressure`)).psi;
}

/** Parses `some avg10=0.12 avg60=0.05 avg300=0.01 total=53427`: Documentation/accounting/psi.rst of the kernel. */
function pressureOf(text: string | undefined): { readonly psi?: Pressure } {
  if (text === undefined) return {};
  const lines = (["some", "full"] as const).flatMap((kind) => {
    const line = new RegExp(`^${kind} (.*)$`, "m").exec(text)?.[1];
    return line === undefined ? [] : [[kind, pressureLine(line)] as const];
  });
  return { psi: Object.fromEntries(lines) };
}

function pressureLine(line: string): PressureLine {
  const value = (name: string) => new RegExp(`(?:^| )${name}=([\\d.]+)`).exec(line)?.[1] ?? "0";
  const [avg10, avg60, avg300] = [Number(value("avg10")), Number(value("avg60")), Number(value("avg300"))];
  return { avg10, avg60, avg300, total: BigInt(value("total")) };
}

function numberOf(text: string | undefined): bigint {
  return /^\d+$/.test(text?.trim() ?? "") ? BigInt(text ?? 0) : 0n;
}

function limitOf(text: string | undefined): bigint {
  return text?.trim() === "max" ? UNLIMITED : numberOf(text);
}

/** The members that are present and not zero, like Go's `omitempty`. */
function nonZero<Name extends string>(
  members: Readonly<Record<Name, bigint | undefined>>,
): Partial<Record<Name, bigint>> {
  const kept: Partial<Record<Name, bigint>> = {};
  for (const name in members) {
    const value = members[name];
    if (value !== undefined && value !== 0n) kept[name] = value;
  }
  return kept;
}
