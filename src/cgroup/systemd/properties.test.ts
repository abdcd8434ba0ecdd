import { describe, expect, it } from "vitest";
import type { LinuxResources } from "../../spec/types.ts";
import { planResources } from "../limits/plan.ts";
import { oomProperties, resourceProperties } from "./properties.ts";

const INFINITY = 18446744073709551615n;

function values(resources: LinuxResources, cpuMax?: string, hasBfq = false): Record<string, unknown> {
  const properties = resourceProperties(planResources(resources, { isUpdate: cpuMax !== undefined }), {
    ...(cpuMax !== undefined && { cpuMax }),
    hasBfq,
  });
  return Object.fromEntries(properties.map(({ name, value }) => [name, value]));
}

describe("properties of a unit", () => {
  it.each<[string, LinuxResources, Record<string, unknown>]>([
    [
      "memory",
      { memory: { limit: 1024n, reservation: 512n, swap: 1536n } },
      { MemoryMax: 1024n, MemoryLow: 512n, MemorySwapMax: 512n },
    ],
    ["no memory limit", { memory: { limit: -1n } }, { MemoryMax: INFINITY, MemorySwapMax: INFINITY }],
    ["shares", { cpu: { shares: 1024n } }, { CPUWeight: 100n }],
    ["idle beside shares", { cpu: { shares: 1024n, idle: 1n } }, { CPUWeight: 0n }],
    ["not idle", { cpu: { shares: 1024n, idle: 0n } }, { CPUWeight: 100n }],
    [
      "quota and period",
      { cpu: { quota: 50000n, period: 200000n } },
      { CPUQuotaPerSecUSec: 250000n, CPUQuotaPeriodUSec: 200000n },
    ],
    ["a quota, with the default period", { cpu: { quota: 50000n } }, { CPUQuotaPerSecUSec: 500000n }],
    [
      "a quota that is not a whole percent",
      { cpu: { quota: 33333n, period: 100000n } },
      { CPUQuotaPerSecUSec: 340000n, CPUQuotaPeriodUSec: 100000n },
    ],
    ["no quota", { cpu: { quota: -1n } }, { CPUQuotaPerSecUSec: INFINITY }],
    [
      "cpus and mems",
      { cpu: { cpus: "0-2,9", mems: "1" } },
      { AllowedCPUs: [7n, 2n], AllowedMemoryNodes: [2n] },
    ],
    ["pids", { pids: { limit: 7n } }, { TasksMax: 7n }],
    ["no pids limit", { pids: { limit: -1n } }, { TasksMax: INFINITY }],
    ["a pids limit of 0", { pids: { limit: 0n } }, { TasksMax: 1n }],
    ["a block weight", { blockIO: { weight: 500 } }, { IOWeight: 4950n }],
    ["a low block weight", { blockIO: { weight: 50 } }, { IOWeight: 405n }],
    [
      "no weight of a single device",
      { blockIO: { weightDevice: [{ major: 8n, minor: 0n, weight: 500 }] } },
      {},
    ],
    ["no huge pages", { hugepageLimits: [{ pageSize: "2MB", limit: 1n }] }, {}],
    [
      "unified",
      {
        unified: {
          "memory.high": "1024",
          "memory.min": "max",
          "memory.zswap.max": "0",
          "cpu.max": "max 50000",
          "cpuset.cpus": "3",
          "io.weight": "default 40",
          "pids.max": "max",
          "memory.max": "0",
          "cpu.max.burst": "5",
        },
      },
      {
        MemoryHigh: 1024n,
        MemoryMin: INFINITY,
        MemoryZSwapMax: 0n,
        CPUQuotaPerSecUSec: INFINITY,
        CPUQuotaPeriodUSec: 50000n,
        AllowedCPUs: [8n],
        IOWeight: 40n,
        TasksMax: INFINITY,
      },
    ],
    ["unified over others", { pids: { limit: 7n }, unified: { "pids.max": "9" } }, { TasksMax: 9n }],
    ["unified idle", { unified: { "cpu.idle": "1", "cpu.weight": "50" } }, { CPUWeight: 0n }],
  ])("%s", (_name, resources, expected) => {
    expect(values(resources)).toEqual(expected);
  });

  it("scale the block weight so that systemd writes the right one for BFQ", () => {
    expect(values({ blockIO: { weight: 500 } }, undefined, true)).toEqual({ IOWeight: 4500n });
    expect(values({ blockIO: { weight: 50 } }, undefined, true)).toEqual({ IOWeight: 50n });
  });

  it("of an update: use the present period, and 1 for a pids limit of 0", () => {
    expect(values({ cpu: { quota: 10000n } }, "max 20000\n")).toEqual({ CPUQuotaPerSecUSec: 500000n });
    expect(values({ pids: { limit: 0n } }, "")).toEqual({ TasksMax: 1n });
  });

  it("carry the pointer of the property that asks for them", () => {
    expect(resourceProperties(planResources({ unified: { "pids.max": "9" } }))[0]?.pointer).toBe(
      "/linux/resources/unified/pids.max",
    );
  });

  it.each([
    ["1", ["kill"]],
    ["0", ["continue"]],
    ["maybe", []],
  ])("memory.oom.group %s: OOMPolicy %s", (group, expected) => {
    expect(oomProperties({ unified: { "memory.oom.group": group } }).map(({ value }) => value)).toEqual(
      expected,
    );
  });
});
