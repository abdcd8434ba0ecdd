import { describe, expect, test } from "vitest";
import type { LinuxResources } from "../../spec/types.ts";
import { blockWeightToIoWeight } from "./block-io.ts";
import type { CurrentLimits } from "./cgroup-write.ts";
import { sharesToWeight } from "./cpu.ts";
import { checkUsage } from "./memory.ts";
import { planResources } from "./plan.ts";

/** `file=value` of each write, in order. */
function writes(resources: LinuxResources, current?: CurrentLimits): string[] {
  return planResources(resources, current).map(({ file, value }) => `${file}=${value}`);
}

describe("writes for linux.resources", () => {
  const cases: readonly (readonly [string, LinuxResources, readonly string[]])[] = [
    ["nothing for empty objects", { memory: {}, cpu: {}, pids: {}, blockIO: {}, network: {} }, []],
    ["a memory limit", { memory: { limit: 4096n } }, ["memory.max=4096"]],
    [
      "unlimited memory, and swap with it",
      { memory: { limit: -1n } },
      ["memory.swap.max=max", "memory.max=max"],
    ],
    ["a reservation", { memory: { reservation: 8192n } }, ["memory.low=8192"]],
    ["no reservation", { memory: { reservation: -1n } }, ["memory.low=max"]],
    [
      "swap without the memory that it counts too",
      { memory: { limit: 100n, swap: 150n } },
      ["memory.swap.max=50", "memory.max=100"],
    ],
    ["no swap", { memory: { limit: 100n, swap: 100n } }, ["memory.swap.max=0", "memory.max=100"]],
    ["unlimited swap", { memory: { limit: 100n, swap: -1n } }, ["memory.swap.max=max", "memory.max=100"]],
    ["nothing for 0", { memory: { limit: 0n, swap: 0n, reservation: 0n } }, []],
    ["a weight for shares", { cpu: { shares: 1024n } }, ["cpu.weight=100"]],
    ["nothing for 0 shares", { cpu: { shares: 0n, quota: 0n, period: 0n, cpus: "", mems: "" } }, []],
    ["a quota", { cpu: { quota: 50000n } }, ["cpu.max=50000"]],
    ["a quota and a period", { cpu: { quota: 5000n, period: 10000n } }, ["cpu.max=5000 10000"]],
    ["a period", { cpu: { period: 10000n } }, ["cpu.max=max 10000"]],
    ["no quota", { cpu: { quota: -1n, period: 10000n } }, ["cpu.max=max 10000"]],
    ["a burst", { cpu: { burst: 10n } }, ["cpu.max.burst=10"]],
    [
      "a burst, never above the quota",
      { cpu: { quota: 5000n, burst: 10n } },
      ["cpu.max.burst=0", "cpu.max=5000", "cpu.max.burst=10"],
    ],
    ["no burst", { cpu: { quota: 5000n, burst: 0n } }, ["cpu.max.burst=0", "cpu.max=5000"]],
    ["idle after the weight", { cpu: { idle: 1n, shares: 2n } }, ["cpu.weight=1", "cpu.idle=1"]],
    ["not idle before the weight", { cpu: { idle: 0n, shares: 2n } }, ["cpu.idle=0", "cpu.weight=1"]],
    ["cpus and mems", { cpu: { cpus: "0-3,7", mems: "0" } }, ["cpuset.cpus=0-3,7", "cpuset.mems=0"]],
    ["a pids limit", { pids: { limit: 64n } }, ["pids.max=64"]],
    ["no pids limit", { pids: { limit: -1n } }, ["pids.max=max"]],
    ["room for init with a pids limit of 0", { pids: { limit: 0n } }, ["pids.max=1"]],
    ["a block weight", { blockIO: { weight: 500 } }, ["io.bfq.weight=500"]],
    [
      "a device's block weight",
      { blockIO: { weightDevice: [{ major: 8n, minor: 0n, weight: 10 }] } },
      ["io.bfq.weight=8:0 10"],
    ],
    [
      "block throttles",
      {
        blockIO: {
          throttleReadBpsDevice: [{ major: 8n, minor: 0n, rate: 600n }],
          throttleWriteBpsDevice: [{ major: 8n, minor: 0n, rate: 0n }],
          throttleReadIOPSDevice: [{ major: 8n, minor: 16n, rate: 1n }],
          throttleWriteIOPSDevice: [{ major: 8n, minor: 16n, rate: 18446744073709551615n }],
        },
      },
      [
        "io.max=8:0 rbps=600",
        "io.max=8:0 wbps=max",
        "io.max=8:16 riops=1",
        "io.max=8:16 wiops=18446744073709551615",
      ],
    ],
    [
      "huge pages, for page faults and reservations",
      { hugepageLimits: [{ pageSize: "2MB", limit: 0n }] },
      ["hugetlb.2MB.max=0", "hugetlb.2MB.rsvd.max=0"],
    ],
    [
      "RDMA limits",
      { rdma: { mlx5_1: { hcaHandles: 3, hcaObjects: 10000 }, rxe3: { hcaObjects: 4294967295 } } },
      ["rdma.max=mlx5_1 hca_handle=3 hca_object=10000", "rdma.max=rxe3 hca_object=max"],
    ],
    [
      "unified values last, one write per line",
      { unified: { "io.max": "8:0 rbps=1\n8:1 rbps=2\n", "memory.high": "5" }, pids: { limit: 7n } },
      ["pids.max=7", "io.max=8:0 rbps=1", "io.max=8:1 rbps=2", "memory.high=5"],
    ],
    ["an empty unified value", { unified: { "cpuset.cpus": "" } }, ["cpuset.cpus=\n"]],
    [
      "nothing for unset v1 properties",
      {
        memory: { kernel: -1n, kernelTCP: 0n, swappiness: 0xffffffffffffffffn, disableOOMKiller: false },
        cpu: { realtimePeriod: 0n, realtimeRuntime: 0n },
        blockIO: { leafWeight: 0, weight: 0 },
        network: { classID: 0, priorities: [] },
      },
      [],
    ],
  ];
  test.each(cases)("%s", (_title, resources, expected) => {
    expect(writes(resources)).toEqual(expected);
  });

  test("an update keeps the values that it does not name", () => {
    expect(writes({ memory: { swap: 150n } }, { isUpdate: true, memoryLimit: 100n })).toEqual([
      "memory.swap.max=50",
    ]);
    expect(writes({ cpu: { period: 1000n } }, { isUpdate: true, cpuQuota: "500" })).toEqual([
      "cpu.max=500 1000",
    ]);
    expect(writes({ pids: { limit: 0n } }, { isUpdate: true })).toEqual(["pids.max=0"]);
  });

  test("a block weight falls back to io.weight without BFQ", () => {
    const [write] = planResources({ blockIO: { weight: 1000 } });
    expect(write?.fallback).toEqual({ file: "io.weight", value: "10000" });
  });

  test("every write names its property", () => {
    const pointers = planResources({
      memory: { limit: 1n },
      blockIO: { throttleReadBpsDevice: [{ major: 8n, minor: 0n, rate: 1n }] },
      hugepageLimits: [{ pageSize: "1GB", limit: 1n }],
      rdma: { "a~b": { hcaHandles: 1 } },
      unified: { "memory.high": "1" },
    }).map(({ pointer }) => pointer);
    expect(pointers).toEqual([
      "/linux/resources/memory/limit",
      "/linux/resources/blockIO/throttleReadBpsDevice/0",
      "/linux/resources/hugepageLimits/0/limit",
      "/linux/resources/hugepageLimits/0/limit",
      "/linux/resources/rdma/a~0b",
      "/linux/resources/unified/memory.high",
    ]);
  });
});

describe("refuses by pointer", () => {
  const device = { major: 8n, minor: 0n };
  const cases: readonly (readonly [string, LinuxResources])[] = [
    ["memory/kernel", { memory: { kernel: 1n } }],
    ["memory/kernelTCP", { memory: { kernelTCP: 1n } }],
    ["memory/swappiness", { memory: { swappiness: 60n } }],
    ["memory/disableOOMKiller", { memory: { disableOOMKiller: true } }],
    ["memory/limit", { memory: { limit: -2n } }],
    ["memory/swap", { memory: { swap: 100n } }],
    ["memory/swap", { memory: { limit: 200n, swap: 100n } }],
    ["memory/swap", { memory: { limit: -1n, swap: 100n } }],
    ["cpu/realtimeRuntime", { cpu: { realtimeRuntime: 1n } }],
    ["cpu/realtimePeriod", { cpu: { realtimePeriod: 1n } }],
    ["cpu/burst", { cpu: { quota: 1000n, burst: 1001n } }],
    ["blockIO/weight", { blockIO: { weight: 9 } }],
    ["blockIO/leafWeight", { blockIO: { leafWeight: 10 } }],
    ["blockIO/weightDevice/0/leafWeight", { blockIO: { weightDevice: [{ ...device, leafWeight: 10 }] } }],
    [
      "blockIO/throttleReadBpsDevice/0",
      { blockIO: { throttleReadBpsDevice: [{ major: -1n, minor: 0n, rate: 1n }] } },
    ],
    ["hugepageLimits/0/pageSize", { hugepageLimits: [{ pageSize: "../2MB", limit: 1n }] }],
    ["network/classID", { network: { classID: 1 } }],
    ["network/priorities", { network: { priorities: [{ name: "eth0", priority: 0 }] } }],
    ["rdma/a b", { rdma: { "a b": { hcaHandles: 1 } } }],
    ["rdma/mlx", { rdma: { mlx: {} } }],
    ["unified/..~1memory.max", { unified: { "../memory.max": "1" } }],
    ["unified/..", { unified: { "..": "1" } }],
    ["unified/tasks", { unified: { tasks: "1" } }],
  ];
  test.each(cases)("%s", (pointer, resources) => {
    expect(() => planResources(resources)).toThrow(
      expect.objectContaining({ pointer: `/linux/resources/${pointer}` }),
    );
  });
});

test("sharesToWeight maps both ends and the default of cpu.shares onto those of cpu.weight", () => {
  const weights = [0n, 1n, 2n, 3n, 512n, 1024n, 2048n, 262143n, 262144n, 1n << 63n].map(sharesToWeight);
  expect(weights).toEqual([1, 1, 1, 2, 59, 100, 174, 10000, 10000, 10000]);
});

test("blockWeightToIoWeight maps both ends of the block weight onto those of io.weight", () => {
  expect([10, 100, 500, 1000].map(blockWeightToIoWeight)).toEqual([1, 910, 4950, 10000]);
});

test("checkUsage refuses a limit that is not above the usage", () => {
  expect(() => checkUsage({ limit: 10n }, 11n, 0n, "/m")).toThrow(
    "/m/limit: rejecting memory limit 10 <= usage 11",
  );
  expect(() => checkUsage({ limit: 10n, swap: 12n }, 9n, 3n, "/m")).toThrow(
    "/m/swap: rejecting memory+swap limit 12 <= usage 12",
  );
  checkUsage({ limit: 10n, swap: 12n }, 9n, 2n, "/m");
  checkUsage({ limit: -1n, swap: -1n }, 10n, 2n, "/m");
});
