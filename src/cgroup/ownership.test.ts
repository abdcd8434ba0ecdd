import { describe, expect, it } from "vitest";
import type { Mount } from "../spec/types.ts";
import { isDelegated, outerId } from "./ownership.ts";

describe("outerId", () => {
  it("finds the user in the mapping that has it", () => {
    const map = "         0     100000       1000\n      1000       5000          1\n";
    expect([0, 999, 1000].map((uid) => outerId(map, uid))).toEqual([100_000, 100_999, 5000]);
  });

  it("has none for a user that is not mapped", () => {
    expect(outerId("0 100000 1000\n", 1000)).toBeUndefined();
    expect(outerId("", 0)).toBeUndefined();
  });
});

describe("isDelegated", () => {
  const cgroup: Mount = { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup" };
  it.each<[string, readonly Mount[], boolean]>([
    ["a writable mount", [cgroup], true],
    ["cgroup2 from another source", [{ ...cgroup, type: "cgroup2", source: "none" }], true],
    ["a read-only mount", [{ ...cgroup, options: ["nosuid", "ro"] }], false],
    ["another place", [{ ...cgroup, destination: "/cgroup" }], false],
    ["another file system", [{ ...cgroup, type: "tmpfs", source: "tmpfs" }], false],
    ["no mount", [], false],
  ])("%s", (_, mounts, expected) => {
    expect(isDelegated({ ociVersion: "1.2.0", root: { path: "rootfs" }, mounts: [...mounts] })).toBe(
      expected,
    );
  });
});
