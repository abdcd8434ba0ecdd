import { describe, expect, it } from "vitest";
import schema from "../spec/config-schema.json" with { type: "json" };
import type { LinuxResources } from "../spec/types.ts";
import { mergeResources, resourcesToApply } from "./merge-resources.ts";

const DENY = { allow: false, access: "rwm" };
const ALLOW = { allow: true, type: "c", major: 10n, minor: 229n, access: "rw" } as const;

describe("mergeResources", () => {
  it.each<[string, LinuxResources, LinuxResources, LinuxResources]>([
    ["nothing", { pids: { limit: 5n } }, {}, { pids: { limit: 5n } }],
    [
      "one value beside others",
      { cpu: { quota: 5n, period: 9n }, pids: { limit: 5n } },
      { cpu: { quota: 6n } },
      { cpu: { quota: 6n, period: 9n }, pids: { limit: 5n } },
    ],
    [
      "0 and empty: not asked for",
      { cpu: { shares: 5n, cpus: "0" }, memory: { limit: 7n }, blockIO: { weight: 10 } },
      { cpu: { shares: 0n, quota: 0n, cpus: "" }, memory: { limit: 0n, swap: 0n }, blockIO: { weight: 0 } },
      { cpu: { shares: 5n, cpus: "0" }, memory: { limit: 7n }, blockIO: { weight: 10 } },
    ],
    [
      "0 of idle, burst and pids: values",
      { cpu: { idle: 1n, burst: 5n }, pids: { limit: 5n } },
      { cpu: { idle: 0n, burst: 0n }, pids: { limit: 0n } },
      { cpu: { idle: 0n, burst: 0n }, pids: { limit: 0n } },
    ],
    ["idle: no shares any more", { cpu: { shares: 5n } }, { cpu: { idle: 1n } }, { cpu: { idle: 1n } }],
    [
      "unlimited memory: no limit of swap any more",
      { memory: { limit: 5n, swap: 9n } },
      { memory: { limit: -1n } },
      { memory: { limit: -1n } },
    ],
    ["devices absent: kept", { devices: [DENY] }, { pids: {} }, { devices: [DENY], pids: {} }],
    ["devices: replaced", { devices: [DENY] }, { devices: [ALLOW] }, { devices: [ALLOW] }],
    ["devices empty: replaced", { devices: [ALLOW] }, { devices: [] }, { devices: [] }],
    [
      "huge pages by size",
      {
        hugepageLimits: [
          { pageSize: "2MB", limit: 1n },
          { pageSize: "1GB", limit: 1n },
        ],
      },
      {
        hugepageLimits: [
          { pageSize: "1GB", limit: 2n },
          { pageSize: "64KB", limit: 3n },
        ],
      },
      {
        hugepageLimits: [
          { pageSize: "2MB", limit: 1n },
          { pageSize: "1GB", limit: 2n },
          { pageSize: "64KB", limit: 3n },
        ],
      },
    ],
    [
      "unified by file",
      { unified: { "memory.high": "1", "pids.max": "2" } },
      { unified: { "pids.max": "3" } },
      { unified: { "memory.high": "1", "pids.max": "3" } },
    ],
  ])("%s", (_title, saved, update, merged) => {
    expect(mergeResources(saved, update)).toEqual(merged);
  });

  it("merges each property of the schema, except those of cgroup v1 alone", () => {
    const properties = Object.entries(schema.definitions.resources.properties);
    const empty = properties.map(([name, section]) => [
      name,
      "type" in section && section.type === "array" ? [] : {},
    ]);
    const merged = Object.keys(mergeResources({}, Object.fromEntries(empty)));
    expect(properties.map(([name]) => name).filter((name) => !merged.includes(name))).toEqual(["network"]);
  });

  it("merges block devices by number", () => {
    const rate = (minor: bigint, value: bigint) => ({ major: 8n, minor, rate: value });
    const saved: LinuxResources = {
      blockIO: {
        weight: 10,
        throttleReadBpsDevice: [rate(0n, 1n), rate(1n, 1n)],
        weightDevice: [{ major: 8n, minor: 0n, weight: 10 }],
      },
    };
    const update: LinuxResources = {
      blockIO: {
        throttleReadBpsDevice: [rate(1n, 2n)],
        throttleWriteIOPSDevice: [rate(0n, 3n)],
        weightDevice: [{ major: 8n, minor: 0n, leafWeight: 20 }],
      },
    };
    expect(mergeResources(saved, update)).toEqual({
      blockIO: {
        weight: 10,
        throttleReadBpsDevice: [rate(0n, 1n), rate(1n, 2n)],
        throttleWriteIOPSDevice: [rate(0n, 3n)],
        weightDevice: [{ major: 8n, minor: 0n, weight: 10, leafWeight: 20 }],
      },
    });
  });
});

describe("resourcesToApply", () => {
  const apply = (saved: LinuxResources, update: LinuxResources) =>
    resourcesToApply(update, mergeResources(saved, update));

  it("is the update alone", () => {
    const update = { cpu: { quota: 5n }, memory: { reservation: 3n } };
    expect(apply({ memory: { limit: 5n, swap: 9n }, pids: { limit: 5n } }, update)).toEqual(update);
  });

  it("writes the old limit of memory and swap with a new memory limit, since the kernel counts swap alone", () => {
    expect(apply({ memory: { limit: 5n, swap: 9n } }, { memory: { limit: 7n } })).toEqual({
      memory: { limit: 7n, swap: 9n },
    });
    for (const update of [{ memory: { limit: -1n } }, { memory: { limit: 7n, swap: 8n } }]) {
      expect(apply({ memory: { limit: 5n, swap: 9n } }, update)).toEqual(update);
    }
  });

  it("keeps checkBeforeUpdate of the config, which holds for all updates of memory", () => {
    const saved = { memory: { limit: 5n, checkBeforeUpdate: true } };
    expect(apply(saved, { memory: { limit: 7n } }).memory?.checkBeforeUpdate).toBe(true);
    expect(apply(saved, { memory: { limit: 7n, checkBeforeUpdate: false } }).memory?.checkBeforeUpdate).toBe(
      false,
    );
    expect(apply(saved, { cpu: { quota: 7n } }).memory).toBeUndefined();
  });
});
