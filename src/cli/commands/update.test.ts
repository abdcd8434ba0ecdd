import { describe, expect, it } from "vitest";
import { parsed } from "../parsed.test-support.ts";
import { optionOf, resourceChangeFrom, updateCommand } from "./update.ts";

function change(...argv: string[]) {
  return resourceChangeFrom(parsed(updateCommand, ...argv, "box").options);
}

describe("resources", () => {
  it.each([
    [[], {}],
    [["--blkio-weight", "500"], { blockIO: { weight: 500 } }],
    [["--cpu-period", "100000"], { cpu: { period: 100_000n } }],
    [["--cpu-quota", "-1"], { cpu: { quota: -1n } }],
    [["--cpu-quota=-1"], { cpu: { quota: -1n } }],
    [["--cpu-quota", "+5"], { cpu: { quota: 5n } }],
    [["--cpu-burst=0"], { cpu: { burst: 0n } }],
    [["--cpu-share", "18446744073709551615"], { cpu: { shares: 0xffffffffffffffffn } }],
    [["--cpu-rt-period=1", "--cpu-rt-runtime=-2"], { cpu: { realtimePeriod: 1n, realtimeRuntime: -2n } }],
    [["--cpu-idle", "1"], { cpu: { idle: 1n } }],
    [["--cpuset-cpus", "0-3,7", "--cpuset-mems", "0"], { cpu: { cpus: "0-3,7", mems: "0" } }],
    [["--memory", "-1"], { memory: { limit: -1n } }],
    [
      ["--memory=64m", "--memory-reservation=32m", "--memory-swap=-1"],
      { memory: { limit: 67_108_864n, reservation: 33_554_432n, swap: -1n } },
    ],
    [["--kernel-memory=1k", "--kernel-memory-tcp=2k"], { memory: { kernel: 1024n, kernelTCP: 2048n } }],
    [["--pids-limit", "-1"], { pids: { limit: -1n } }],
    [["--pids-limit", "0"], { pids: { limit: 0n } }],
    [["--memory="], {}],
  ])("%j", (argv, expected) => {
    expect(change(...argv)).toEqual({ resources: expected, optionOf });
  });

  it.each([
    ["0", 0n],
    ["1000", 1000n],
    ["1b", 1n],
    ["1k", 1024n],
    ["1K", 1024n],
    ["1kb", 1024n],
    ["1KiB", 1024n],
    ["2 g", 2_147_483_648n],
    ["1.5m", 1_572_864n],
    ["0.1g", 107_374_182n],
    ["1t", 1_099_511_627_776n],
    ["9223372036854775807", 0x7fffffffffffffffn],
  ])("takes the size %j", (text, limit) => {
    expect(change("--memory", text)).toEqual({ resources: { memory: { limit } }, optionOf });
  });

  it.each([
    [["--memory", "64q"], '--memory: must be a number of bytes, such as "64m", or -1, not "64q"'],
    [["--memory", "-2"], "--memory: must be a number of bytes"],
    [["--memory", "9223372036854775808"], "--memory: must be a number of bytes"],
    [["--memory-swap", "m"], "--memory-swap: must be a number of bytes"],
    [["--cpu-period", "-1"], "--cpu-period: must be an integer from 0 to 18446744073709551615"],
    [["--cpu-quota", "1.5"], "--cpu-quota: must be an integer from -9223372036854775808 to"],
    [["--cpu-idle", "yes"], "--cpu-idle: must be an integer"],
    [["--blkio-weight", "65536"], "--blkio-weight: must be an integer from 0 to 65535"],
    [["--pids-limit", "0x10"], "--pids-limit: must be an integer"],
  ])("%j is refused by name", (argv, message) => {
    expect(() => change(...argv)).toThrow(message);
  });
});

it("names a property by its option", () => {
  expect(optionOf("/memory/limit")).toBe("--memory");
  expect(optionOf("/cpu/shares")).toBe("--cpu-share");
  expect(optionOf("/rdma/mlx5_0")).toBe("/linux/resources/rdma/mlx5_0");
});

it.each([
  ["-", "-"],
  ["/r.json", "/r.json"],
  ["r.json", `${process.cwd()}/r.json`],
])("--resources %s: the file alone, by its absolute path", (given, file) => {
  expect(change("--memory=5", "-r", given)).toEqual({ file });
});

describe("intelRdt", () => {
  it("takes a line for each resource", () => {
    expect(change("--l3-cache-schema", "L3:0=f", "--mem-bw-schema", "MB:0=20")).toMatchObject({
      resources: {},
      intelRdt: { l3CacheSchema: "L3:0=f", memBwSchema: "MB:0=20" },
    });
  });

  it.each([
    ["--mem-bw-schema", "L3:0=f", 'must start with "MB:"'],
    ["--mem-bw-schema", "MB:0=20\nL3:0=f", "must be a single line"],
    ["--l3-cache-schema", "L3:0=f\nMB:0=20", "must be a single line"],
  ])("%s %j is refused by name", (option, value, expected) => {
    expect(() => change(option, value)).toThrow(`${option}: ${expected}`);
  });
});
