import { expect } from "vitest";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config-linux.md, Unified: MUST error if a v1 property can't be converted";
const DEVICE = { major: 8, minor: 0 };

/** Properties that only cgroup v1 has, each with a value that asks for something. */
const PROPERTIES: readonly (readonly [pointer: string, resources: Record<string, unknown>])[] = [
  ["memory/kernel", { memory: { kernel: 67_108_864 } }],
  ["memory/kernelTCP", { memory: { kernelTCP: 67_108_864 } }],
  ["memory/swappiness", { memory: { swappiness: 60 } }],
  ["memory/disableOOMKiller", { memory: { disableOOMKiller: true } }],
  ["cpu/realtimeRuntime", { cpu: { realtimeRuntime: 950_000 } }],
  ["cpu/realtimePeriod", { cpu: { realtimePeriod: 1_000_000 } }],
  ["blockIO/leafWeight", { blockIO: { leafWeight: 10 } }],
  ["blockIO/weightDevice/0/leafWeight", { blockIO: { weightDevice: [{ ...DEVICE, leafWeight: 10 }] } }],
  ["network/classID", { network: { classID: 1_048_577 } }],
  ["network/priorities", { network: { priorities: [{ name: "lo", priority: 500 }] } }],
];

for (const [pointer, resources] of PROPERTIES) {
  spec(
    `create with ${pointer}: error that names it, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.linux.resources = resources;
      });
      expectRefusal(
        await container.create(),
        inOurWords(`/linux/resources/${pointer}: exists in cgroup v1 only`),
      );
      expect(await sandbox.traces()).toEqual([]);
    },
    {
      crun: "leaves the cgroup when it refuses a property that only cgroup v1 has",
      runc: "ignores properties that only cgroup v1 has",
    },
  );
}

const deviations = byCase({
  crun: "a property that only cgroup v1 has is an error even with 0, false or -1",
  cases: [
    '{"memory":{"kernel":-1,"kernelTCP":0,"disableOOMKiller":false,"useHierarchy":true}}',
    '{"blockIO":{"leafWeight":0}}',
    '{"network":{"classID":0,"priorities":[]}}',
  ],
});

for (const resources of [
  { memory: { kernel: -1, kernelTCP: 0, disableOOMKiller: false, useHierarchy: true } },
  { cpu: { realtimeRuntime: 0, realtimePeriod: 0 } },
  { blockIO: { leafWeight: 0 } },
  { network: { classID: 0, priorities: [] } },
]) {
  spec(
    `run with ${JSON.stringify(resources)}: asks for nothing that cgroup v2 lacks, so no error`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("echo ran", (config) => {
        config.linux.resources = resources;
      });
      expect(await container.output()).toBe("ran\n");
    },
    deviations(JSON.stringify(resources)),
  );
}
