import { absolutePath } from "../../../bindings/linux/paths.ts";
import { type ResourceChange, updateContainer } from "../../container/update.ts";
import { RuntsError } from "../../errors.ts";
import type { Cpu, IntelRdt, LinuxResources, Memory } from "../../spec/types.ts";
import { defineCommand } from "../command.ts";
import type { OptionTable, OptionValues } from "../options/option.ts";
import { oneContainer } from "../options/shared-options.ts";
import { parseSize } from "../options/size.ts";

/** All are strings: their values may be negative or have a unit. */
const options = {
  resources: {
    alias: "r",
    type: "string",
    isPath: true,
    description: "file with linux.resources as JSON, - for standard input; all other options are ignored",
  },
  "blkio-weight": { type: "string", description: "weight of block I/O, 10 to 1000" },
  "cpu-period": { type: "string", description: "length of the quota's period in microseconds" },
  "cpu-quota": { type: "string", description: "microseconds of CPU time per period; -1: no limit" },
  "cpu-burst": { type: "string", description: "microseconds that may accumulate beyond the quota" },
  "cpu-share": { type: "string", description: "weight of CPU time, 2 to 262144" },
  "cpu-rt-period": { type: "string", description: "cgroup v1 only: refused" },
  "cpu-rt-runtime": { type: "string", description: "cgroup v1 only: refused" },
  "cpu-idle": { type: "string", description: "1: run only when the CPU is idle otherwise; 0: normally" },
  "cpuset-cpus": { type: "string", description: "CPUs to use, as in 0-3,7" },
  "cpuset-mems": { type: "string", description: "memory nodes to use" },
  memory: { type: "string", description: "bytes, or as in 64m; -1: no limit" },
  "memory-reservation": { type: "string", description: "bytes that are not reclaimed" },
  "memory-swap": { type: "string", description: "bytes of memory and swap; -1: no limit" },
  "kernel-memory": { type: "string", description: "accepted for compatibility, without effect" },
  "kernel-memory-tcp": { type: "string", description: "accepted for compatibility, without effect" },
  "pids-limit": { type: "string", description: "number of processes; -1: no limit" },
  "l3-cache-schema": {
    type: "string",
    description: "L3 cache for a container with intelRdt, as in L3:0=ff;1=f",
  },
  "mem-bw-schema": { type: "string", description: "memory bandwidth, as in MB:0=20;1=70" },
} as const satisfies OptionTable;

type Values = OptionValues<typeof options>;

export const updateCommand = defineCommand({
  name: "update",
  summary: "change the limits of a container",
  positionals: oneContainer,
  options,
  description: [
    "Changes the limits of a container that has not stopped. Limits that are not given stay as they are. An error names the option or, with " +
      "--resources, the property.",
  ],
  examples: [
    ["runts update --memory 512M --pids-limit 100 web", "by options"],
    ["runts update --resources limits.json web", "by linux.resources as JSON; - is standard input"],
  ],
  run(context, { positionals: [id], options }) {
    updateContainer(context, id, resourceChangeFrom(options));
    return 0;
  },
});

export function resourceChangeFrom(values: Values): ResourceChange {
  const { resources: file } = values;
  if (file !== undefined) return { file: file === "-" ? file : absolutePath(file) };
  return { resources: resourcesFrom(values), ...intelRdtFrom(values), optionOf };
}

/** The property of `linux.resources` that each option sets. */
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

/** The option that sets a property of `linux.resources`, for errors; the property's pointer if no option does. */
export function optionOf(pointer: string): string {
  const entry = Object.entries(POINTERS).find(([, property]) => property === pointer);
  return entry === undefined ? `/linux/resources${pointer}` : `--${entry[0]}`;
}

/** The resources that the options ask for: only those that are given. */
function resourcesFrom(values: Values): LinuxResources {
  const cpu = cpuFrom(values);
  const memory = memoryFrom(values);
  const weight = integer(values, "blkio-weight", UINT16);
  const limit = integer(values, "pids-limit", INT64);
  return {
    ...(Object.keys(cpu).length > 0 && { cpu }),
    ...(Object.keys(memory).length > 0 && { memory }),
    ...(weight !== undefined && { blockIO: { weight: Number(weight) } }),
    ...(limit !== undefined && { pids: { limit } }),
  };
}

/** Lines for the schemata of the container's class of service: each option sets one resource, in one line. */
function intelRdtFrom(values: Values): { readonly intelRdt?: IntelRdt } {
  const { "l3-cache-schema": l3CacheSchema, "mem-bw-schema": memBwSchema } = values;
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

function cpuFrom(values: Values): Cpu {
  const period = integer(values, "cpu-period", UINT64);
  const burst = integer(values, "cpu-burst", UINT64);
  const shares = integer(values, "cpu-share", UINT64);
  const realtimePeriod = integer(values, "cpu-rt-period", UINT64);
  const quota = integer(values, "cpu-quota", INT64);
  const realtimeRuntime = integer(values, "cpu-rt-runtime", INT64);
  const idle = integer(values, "cpu-idle", INT64);
  const { "cpuset-cpus": cpus, "cpuset-mems": mems } = values;
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

function memoryFrom(values: Values): Memory {
  const limit = size(values, "memory");
  const reservation = size(values, "memory-reservation");
  const swap = size(values, "memory-swap");
  const kernel = size(values, "kernel-memory");
  const kernelTCP = size(values, "kernel-memory-tcp");
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

function integer(values: Values, name: OptionName, { minimum, maximum }: Range): bigint | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = /^[+-]?\d{1,20}$/.test(text) ? BigInt(text.replace(/^\+/, "")) : undefined;
  if (value !== undefined && value >= minimum && value <= maximum) return value;
  throw invalidValue(name, text, `must be an integer from ${minimum} to ${maximum}`);
}

/** Bytes; -1 is unlimited. */
function size(values: Values, name: OptionName): bigint | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  if (text === "-1") return -1n;
  const value = parseSize(text);
  if (value !== undefined) return value;
  throw invalidValue(name, text, 'must be a number of bytes, such as "64m", or -1');
}

function invalidValue(name: string, text: string, expected: string): RuntsError {
  return new RuntsError(`--${name}: ${expected}, not ${JSON.stringify(text)}`, { operation: "usage" });
}
