import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { expectRefusal } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "runtime.md, Create: MUST error if a property cannot be applied";
const CONTROLLERS = readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").trim().split(" ");

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
    expectRefusal(await container.create());
    expect(await sandbox.traces()).toEqual([]);
  },
);

for (const empty of [
  { blockIO: {} },
  { memory: {} },
  { cpu: {} },
  { pids: {} },
  { hugepageLimits: [] },
  { unified: {} },
]) {
  spec(
    `create with ${JSON.stringify(empty)}: asks for nothing, so no error`,
    "engines: docker's empty blockIO",
    async (sandbox) => {
      const container = sandbox.shell("echo ran", (config) => {
        config.linux.resources = { ...config.linux.resources, ...empty };
      });
      expect(await container.output()).toBe("ran\n");
    },
  );
}
