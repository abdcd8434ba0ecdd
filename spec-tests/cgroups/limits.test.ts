import { existsSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { hostControllers, NO_HUGETLB } from "../harness/host/host-controllers.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CGROUP_LEFT = "leaves the cgroup when create fails after making it";
const CGROUP_LEFT_BY_LIMITS = "leaves the cgroup that it made when a limit can't be set";

const CLAUSE = "runtime.md, Create: MUST error if a property cannot be applied";
const CONTROLLERS = hostControllers();

for (const [controller, resources] of [
  ["memory", { memory: { limit: 67_108_864 } }],
  ["pids", { pids: { limit: 100 } }],
  ["cpu", { cpu: { quota: 50_000, period: 100_000 } }],
  ["cpuset", { cpu: { cpus: "0" } }],
  ["io", { blockIO: { weight: 100 } }],
] as const) {
  spec(
    `create with a limit of ${controller}, no such controller: error, nothing left`,
    CLAUSE,
    async (sandbox, context) => {
      if (CONTROLLERS.includes(controller)) context.skip(`this machine has the ${controller} controller`);
      const container = sandbox.container((config) => {
        config.linux.resources = { ...config.linux.resources, ...resources };
      });
      expectRefusal(await container.create(), new RegExp(controller));
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: CGROUP_LEFT },
  );
}

spec(
  "create with memory.swap 0 alone: no limit is set",
  "engines send 0 for limits that nobody asked for",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.linux.resources = { memory: { swap: 0 } };
    });
    await container.created();
    const file = `/sys/fs/cgroup/${container.id}/memory.swap.max`;
    expect(existsSync(file) ? readFileSync(file, "utf8") : "max\n").toBe("max\n");
  },
);

const DISK = { major: 8, minor: 0 };
const RATE = [{ ...DISK, rate: 1_048_576 }];
const QUOTA = { quota: 50_000, period: 100_000 };

for (const [controller, pointer, resources] of [
  ["memory", "memory/limit", { memory: { limit: 67_108_864 } }],
  ["memory", "memory/reservation", { memory: { reservation: 67_108_864 } }],
  ["memory", "memory/swap", { memory: { limit: 67_108_864, swap: 134_217_728 } }],
  ["cpu", "cpu/shares", { cpu: { shares: 512 } }],
  ["cpu", "cpu/quota", { cpu: QUOTA }],
  ["cpu", "cpu/burst", { cpu: { ...QUOTA, burst: 10_000 } }],
  ["cpu", "cpu/idle", { cpu: { idle: 1 } }],
  ["cpuset", "cpu/cpus", { cpu: { cpus: "0" } }],
  ["cpuset", "cpu/mems", { cpu: { mems: "0" } }],
  ["pids", "pids/limit", { pids: { limit: 100 } }],
  ["io", "blockIO/weight", { blockIO: { weight: 100 } }],
  ["io", "blockIO/weightDevice", { blockIO: { weightDevice: [{ ...DISK, weight: 100 }] } }],
  ["io", "blockIO/throttleReadBpsDevice", { blockIO: { throttleReadBpsDevice: RATE } }],
  ["io", "blockIO/throttleWriteBpsDevice", { blockIO: { throttleWriteBpsDevice: RATE } }],
  ["io", "blockIO/throttleReadIOPSDevice", { blockIO: { throttleReadIOPSDevice: RATE } }],
  ["io", "blockIO/throttleWriteIOPSDevice", { blockIO: { throttleWriteIOPSDevice: RATE } }],
  ["rdma", "rdma/mlx5_1/hcaHandles", { rdma: { mlx5_1: { hcaHandles: 3 } } }],
  ["rdma", "rdma/mlx5_1/hcaObjects", { rdma: { mlx5_1: { hcaObjects: 10_000 } } }],
] as const) {
  spec(
    `create with ${pointer}, no such controller: error that names both`,
    CLAUSE,
    async (sandbox, context) => {
      if (CONTROLLERS.includes(controller)) context.skip(`this machine has the ${controller} controller`);
      if (!IS_RUNTS) context.skip("a promise only of runts");
      const container = sandbox.container((config) => {
        config.linux.resources = resources;
      });
      // Properties that go to one file are named together, or by the first of them.
      const named = pointer
        .replace("cpu/burst", "cpu/(quota|burst)")
        .replace("memory/swap", "memory/(swap|limit)")
        .replace(/.hca.*/, "");
      expectRefusal(await container.create(), new RegExp(`/linux/resources/${named}.*${controller}`));
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}

spec(
  "create with hugepageLimits: the limit holds",
  "config-linux.md, Huge page limits",
  async (sandbox, context) => {
    if (!CONTROLLERS.includes("hugetlb")) context.skip(NO_HUGETLB);
    const container = sandbox.container((config) => {
      config.linux.resources = { hugepageLimits: [{ pageSize: "2MB", limit: 4_194_304 }] };
    });
    await container.created();
    const limits = ["max", "rsvd.max"].map((name) =>
      readFileSync(`/sys/fs/cgroup/${container.id}/hugetlb.2MB.${name}`, "utf8"),
    );
    expect(limits).toEqual(["4194304\n", "4194304\n"]);
  },
  { crun: "does not set the reservation of huge pages" },
);

for (const [pageSize, words] of [
  ["3MB", "hugetlb.3MB"],
  ["../2MB", "/pageSize"],
  ["2mb", "/pageSize"],
] as const) {
  spec(
    `create with hugepageLimits of ${pageSize}: error that names it, nothing left`,
    `${CLAUSE}; config-linux.md`,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.linux.resources = { hugepageLimits: [{ pageSize, limit: 0 }] };
      });
      expectRefusal(await container.create(), inOurWords(words));
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: CGROUP_LEFT_BY_LIMITS },
  );
}

for (const key of ["../cgroup.procs", "sub/memory.max", "..", ""]) {
  spec(
    `create with unified of ${JSON.stringify(key)}: error that names it, nothing left`,
    "config-linux.md, Unified: a file of the cgroup",
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.linux.resources = { unified: { [key]: "1" } };
      });
      expectRefusal(await container.create(), inOurWords("/linux/resources/unified/"));
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: CGROUP_LEFT_BY_LIMITS },
  );
}

spec(
  "create with unified of a missing controller: error, nothing left",
  `${CLAUSE}; config-linux.md, Unified`,
  async (sandbox, context) => {
    if (CONTROLLERS.includes("memory")) context.skip("this machine has the memory controller");
    const container = sandbox.container((config) => {
      config.linux.resources = { ...config.linux.resources, unified: { "memory.max": "67108864" } };
    });
    expectRefusal(await container.create(), inOurWords("/linux/resources/unified/memory.max: "));
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: CGROUP_LEFT },
);

const deviations = byCase({ crun: "an empty blockIO needs the io controller", cases: ['{"blockIO":{}}'] });

for (const empty of [
  { blockIO: {} },
  { memory: {} },
  { cpu: {} },
  { pids: {} },
  { hugepageLimits: [] },
  { unified: {} },
]) {
  spec(
    `create with ${JSON.stringify(empty)}: no limit, so no error`,
    "engines: docker's empty blockIO",
    async (sandbox) => {
      const container = sandbox.shell("echo ran", (config) => {
        config.linux.resources = { ...config.linux.resources, ...empty };
      });
      expect(await container.output()).toBe("ran\n");
    },
    deviations(JSON.stringify(empty)),
  );
}
