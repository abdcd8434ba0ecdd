import { describe, expect, test } from "vitest";
import { earlierText } from "./update.ts";

describe("the text that undoes a write", () => {
  test.each([
    ["memory.max", "max\n", "1024", "max"],
    ["pids.max", "7\n", "max", "7"],
    ["cpu.max", "max 100000\n", "50000 200000", "max 100000"],
    ["cpu.max", "50000 100000\n", "max 100000", "50000 100000"],
    ["cpuset.cpus", "\n", "0-3", "\n"],
    ["cpuset.cpus", "0-3\n", "1", "0-3"],
    ["io.weight", "default 100\n8:0 50\n", "910", "default 100"],
    ["io.weight", "default 100\n8:0 50\n", "default 910", "default 100"],
    ["io.weight", "default 100\n8:0 50\n", "8:0 910", "8:0 50"],
    ["io.weight", "default 100\n", "8:16 910", "8:16 default"],
    [
      "io.max",
      "8:0 rbps=1 wbps=max riops=max wiops=max\n",
      "8:0 wbps=5",
      "8:0 rbps=1 wbps=max riops=max wiops=max",
    ],
    ["io.max", "8:0 rbps=1\n", "8:16 wbps=5", "8:16 rbps=max wbps=max riops=max wiops=max"],
    [
      "rdma.max",
      "mlx5_0 hca_handle=max hca_object=9\n",
      "mlx5_0 hca_handle=2",
      "mlx5_0 hca_handle=max hca_object=9",
    ],
    ["misc.max", "sev max\n", "sev 3", "sev max"],
    ["misc.max", "", "sev 3", undefined],
    ["cgroup.subtree_control", "cpu\n", "+memory", undefined],
  ])("%s with %j, %j written: %j", (file, text, value, expected) => {
    expect(earlierText(file, text, value)).toBe(expected);
  });
});
