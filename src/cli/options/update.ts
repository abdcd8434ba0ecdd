import { RuntsError } from "../../errors.ts";
import type { Cpu, IntelRdt, LinuxResources, Memory } from "../../spec/types.ts";
import type { ParsedArguments } from "./arguments.ts";

/** Property of `linux.resources` that each option sets. */
const POINTERS = {
  "blkio-weight": "/blockIO/weight",
  "cpu-period": "/cpu/period",
  "cpu-quota": "/cpu/quota",
  "cpu-burst": "/cpu/burst",
  "cpu-share": "/cpu/shares",
  "cpu-rt-period": "/cpu/realtimePeriod",
  "cpu-rt-runtime": "/cpu/realtimeRuntime",
  "cpu-idle": "/cpu/idle",
  "cpuset-cpus": "/cpu/cpus",
  "cpuset-mems": "/cpu/mems",
  memory: "/memory/limit",
  "memory-reservation": "/memory/reservation",
  "memory-swap": "/memory/swap",
  "kernel-memory": "/memory/kernel",
  "kernel-memory-tcp": "/memory/kernelTCP",
  "pids-limit": "/pids/limit",
} as const;

/** How an error about a property names it to somebody who used options. */
export function optionOf(pointer: string): string {
  const entry = Object.entries(POINTERS).find(([, property]) => property === pointer);
  return entry === undefined ? `/linux/resources${pointer}` : `--${entry[0]}`;
}

/** The resources that the options of `update` ask for: only what is given is there. */
export function resourcesFrom(args: ParsedArguments): LinuxResources {
  const cpu = cpuFrom(args);
  const memory = memoryFrom(args);
  const weight = integer(args, "blkio-weight", UINT16);
  const limit = integer(args, "pids-limit", INT64);
  return {
    ...(Object.keys(cpu).length > 0 && { cpu }),
    ...(Object.keys(memory).length > 0 && { memory }),
    ...(weight !== undefined && { blockIO: { weight: Number(weight) } }),
    ...(limit !== undefined && { pids: { limit } }),
  };
}

/** Lines for the container's class of service. Each option is one line: the other one has the other resource. */
export function intelRdtFrom(args: ParsedArguments): { readonly intelRdt?: IntelRdt } {
  const l3CacheSchema = args.string("l3-cache-schema");
  const memBwSchema = args.string("mem-bw-schema");
  for (const [name, value] of Object.entries({
    "l3-cache-schema": l3CacheSchema,
    "mem-bw-schema": memBwSchema,
  })) {
    if (value?.includes("\n")) throw invalidValue(name, value, "must be a single line");
  }
  if (memBwSchema !== undefined && !memBwSchema.startsWith("MB:"))
    throw invalidValue("mem-bw-schema", memBwSchema, 'must start with "MB:"');
  if (l3CacheSchema === undefined && memBwSchema === undefined) return {};
  return {
    intelRdt: {
      ...(l3CacheSchema !== undefined && { l3CacheSchema }),
      ...(memBwSchema !== undefined && { memBwSchema }),
    },
  };
}

function cpuFrom(args: ParsedArguments): Cpu {
  const [period, burst, shares, realtimePeriod] = (
    ["cpu-period", "cpu-burst", "cpu-share", "cpu-rt-period"] as const
  ).map((name) => integer(args, name, UINT64));
  const [quota, realtimeRuntime, idle] = (["cpu-quota", "cpu-rt-runtime", "cpu-idle"] as const).map((name) =>
    integer(args, name, INT64),
  );
  const [cpus, mems] = ["cpuset-cpus", "cpuset-mems"].map((name) => args.string(name));
  return {
    ...(period !== undefined && { period }),
    ...(burst !== undefined && { burst }),
    ...(shares !== undefined && { shares }),
    ...(realtimePeriod !== undefined && { realtimePeriod }),
    ...(quota !== undefined && { quota }),
    ...(realtimeRuntime !== undefined && { realtimeRuntime }),
    ...(idle !== undefined && { idle }),
    ...(cpus !== undefined && { cpus }),
    ...(mems !== undefined && { mems }),
  };
}

function memoryFrom(args: ParsedArguments): Memory {
  const [limit, reservation, swap, kernel, kernelTCP] = (
    ["memory", "memory-reservation", "memory-swap", "kernel-memory", "kernel-memory-tcp"] as const
  ).map((name) => size(args, name));
  return {
    ...(limit !== undefined && { limit }),
    ...(reservation !== undefined && { reservation }),
    ...(swap !== undefined && { swap }),
    ...(kernel !== undefined && { kernel }),
    ...(kernelTCP !== undefined && { kernelTCP }),
  };
}

type OptionName = keyof typeof POINTERS;

interface Range {
  readonly minimum: bigint;
  readonly maximum: bigint;
}

const UINT16: Range = { minimum: 0n, maximum: 0xffffn };
const UINT64: Range = { minimum: 0n, maximum: 0xffffffffffffffffn };
const INT64: Range = { minimum: -0x8000000000000000n, maximum: 0x7fffffffffffffffn };

function integer(args: ParsedArguments, name: OptionName, { minimum, maximum }: Range): bigint | undefined {
  const text = args.string(name);
  if (text === undefined) return undefined;
  const value = /^[+-]?\d{1,20}$/.test(text) ? BigInt(text.replace(/^\+/, "")) : undefined;
  if (value !== undefined && value >= minimum && value <= maximum) return value;
  throw invalidValue(name, text, `must be an integer from ${minimum} to ${maximum}`);
}

const UNITS = "bkmgtp";
const SIZE = /^(\d{1,19})(?:\.(\d{1,9}))? ?(?:([kmgtp])i?b?|b)?$/i;

/** Bytes, in the sizes of docker's units package: `64m`, `1.5GiB`; -1 is unlimited. */
function size(args: ParsedArguments, name: OptionName): bigint | undefined {
  const text = args.string(name);
  if (text === undefined) return undefined;
  if (text === "-1") return -1n;
  const [match, whole = "0", fraction = "", unit = "b"] = SIZE.exec(text) ?? [];
  if (match !== undefined) {
    const factor = 1024n ** BigInt(UNITS.indexOf(unit.toLowerCase()));
    // Digits behind the point are exact too: 0.1g is 107374182 bytes.
    const value = (BigInt(whole + fraction) * factor) / 10n ** BigInt(fraction.length);
    if (value <= INT64.maximum) return value;
  }
  throw invalidValue(name, text, 'must be a number of bytes, such as "64m", or -1');
}

function invalidValue(name: string, text: string, expected: string): RuntsError {
  return new RuntsError(`--${name}: ${expected}, not ${JSON.stringify(text)}`, { operation: "usage" });
}
