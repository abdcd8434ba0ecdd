import type { BusValue } from "../../../bindings/linux/sd-bus.ts";
import { parseNumberList } from "../../spec/number-list.ts";
import type { LinuxResources } from "../../spec/types.ts";
import type { CgroupWrite } from "../limits/cgroup-write.ts";

/** One property of a unit, as StartTransientUnit and SetUnitProperties take it: org.freedesktop.systemd1(5) */
export interface UnitProperty {
  readonly name: string;
  readonly signature: string;
  readonly value: BusValue;
  /** JSON pointer of the config's property that asks for it; absent for what every container has. */
  readonly pointer?: string;
}

/** systemd's `infinity`. */
const INFINITY = (1n << 64n) - 1n;
/** The kernel's default, in microseconds. */
const DEFAULT_PERIOD = 100_000n;
/** systemd stores a quota in whole percents of a CPU. One percent, in microseconds per second. */
const PERCENT_OF_SECOND = 10_000n;

/** Numeric properties by file, with the lowest value that systemd accepts. */
const LIMITS: Readonly<Record<string, readonly [property: string, least: bigint]>> = {
  "memory.max": ["MemoryMax", 1n],
  "memory.high": ["MemoryHigh", 1n],
  "memory.low": ["MemoryLow", 0n],
  "memory.min": ["MemoryMin", 0n],
  "memory.swap.max": ["MemorySwapMax", 0n],
  "memory.zswap.max": ["MemoryZSwapMax", 0n],
  "pids.max": ["TasksMax", 1n],
  "cpu.weight": ["CPUWeight", 1n],
};

/** Facts about the cgroup that properties depend on. */
export interface CgroupFacts {
  /** Present content of cpu.max. */
  readonly cpuMax?: string;
  /** Whether the cgroup has an io.bfq.weight, to which systemd then writes the weight. */
  readonly hasBfq?: boolean;
}

/**
 * The unit's properties for everything that is written to the cgroup's files, `unified` included, so that systemd neither undoes the
 * limits nor shows others. Limits for which systemd has no property (huge pages, RDMA, rates of single devices, cpu.max.burst) are in
 * the files alone.
 */
export function resourceProperties(writes: readonly CgroupWrite[], facts: CgroupFacts = {}): UnitProperty[] {
  const properties = new Map<string, UnitProperty>();
  for (const write of writes) {
    for (const { name, signature, value } of convert(write, facts)) {
      properties.set(name, { name, signature, value, pointer: write.pointer });
    }
  }
  // In systemd, a weight of 0 means idle, and replaces any other weight.
  const idle = writes.findLast(({ file }) => file === "cpu.idle");
  if (idle?.value.trim() === "1") {
    properties.set("CPUWeight", { name: "CPUWeight", signature: "t", value: 0n, pointer: idle.pointer });
  }
  return [...properties.values()];
}

/** memory.oom.group is OOMPolicy in systemd, which can only be set when the unit is created. */
export function oomProperties({ unified }: LinuxResources): UnitProperty[] {
  const group = unified?.["memory.oom.group"]?.trim();
  if (group !== "0" && group !== "1") return [];
  return [
    {
      name: "OOMPolicy",
      signature: "s",
      value: group === "1" ? "kill" : "continue",
      pointer: "/linux/resources/unified/memory.oom.group",
    },
  ];
}

function convert({ file, value, fallback }: CgroupWrite, facts: CgroupFacts): UnitProperty[] {
  const text = value.trim();
  const limit = Object.hasOwn(LIMITS, file) ? LIMITS[file] : undefined;
  if (limit !== undefined) {
    const [name, least] = limit;
    const number = text === "max" ? INFINITY : wholeNumber(text);
    if (number === undefined) return [];
    // systemd's lowest TasksMax is 1. The file has the exact value of 0.
    if (number < least && name !== "TasksMax") return [];
    return [{ name, signature: "t", value: number < least ? least : number }];
  }
  if (file === "cpu.max") return cpuQuota(text, facts.cpuMax ?? "");
  if (file === "cpuset.cpus") return cpuset("AllowedCPUs", text);
  if (file === "cpuset.mems") return cpuset("AllowedMemoryNodes", text);
  if (file === "io.bfq.weight") {
    return fallback === undefined || facts.hasBfq === true
      ? blockWeight(text, fromBfqWeight)
      : blockWeight(fallback.value, (weight) => weight);
  }
  if (file === "io.weight") return blockWeight(text, (weight) => weight);
  return [];
}

function wholeNumber(text: string): bigint | undefined {
  return /^[0-9]{1,20}$/.test(text) ? BigInt(text) : undefined;
}

/**
 * Parses `QUOTA [PERIOD]`, both in microseconds, of cpu.max; `present` is its content, for a period that is not given. The quota is
 * rounded up, so that the container never gets less than it was given.
 */
function cpuQuota(text: string, present: string): UnitProperty[] {
  const [first = "", second] = text.split(/\s+/);
  const period = wholeNumber(second ?? present.trim().split(" ")[1] ?? "") ?? DEFAULT_PERIOD;
  const quota = first === "max" ? undefined : wholeNumber(first);
  if ((quota === undefined && first !== "max") || period === 0n) return [];
  const exact = quota === undefined ? INFINITY : (quota * 1_000_000n) / period;
  const rounded = ((exact + PERCENT_OF_SECOND - 1n) / PERCENT_OF_SECOND) * PERCENT_OF_SECOND;
  const perSecond = {
    name: "CPUQuotaPerSecUSec",
    signature: "t",
    value: quota === undefined ? INFINITY : rounded,
  };
  if (second === undefined) return [perSecond];
  return [perSecond, { name: "CPUQuotaPeriodUSec", signature: "t", value: period }];
}

/** The list as a bit mask, lowest byte first. */
function cpuset(name: string, list: string): UnitProperty[] {
  const ranges = parseNumberList(list);
  if (ranges === undefined) return [];
  const bits: bigint[] = [];
  for (const [first, last] of ranges) {
    for (let number = first; number <= last; number++) {
      const byte = number >> 3;
      while (bits.length <= byte) bits.push(0n);
      bits[byte] = (bits[byte] ?? 0n) | (1n << BigInt(number & 7));
    }
  }
  return [{ name, signature: "ay", value: bits }];
}

/** Parses `WEIGHT` or `default WEIGHT`. The weight of a single device is in the file alone. */
function blockWeight(text: string, convertWeight: (weight: bigint) => bigint): UnitProperty[] {
  const weight = wholeNumber(/^(?:default\s+)?([0-9]+)$/.exec(text)?.[1] ?? "");
  return weight === undefined ? [] : [{ name: "IOWeight", signature: "t", value: convertWeight(weight) }];
}

/** Inverts systemd's conversion from io.weight (1 to 10000) to the weight for BFQ (1 to 1000), which maps 100 onto 100. */
function fromBfqWeight(weight: bigint): bigint {
  return weight <= 100n ? weight : 100n + (weight - 100n) * 11n;
}
