import { describe, expect, it } from "vitest";
import type { Mount } from "../spec/types.ts";
import { isDelegated } from "./ownership.ts";

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
