import { describe, expect, it } from "vitest";
import { RESOLVE_IN_ROOT } from "../../bindings/abi/fcntl.ts";
import { MOUNT_ATTR_RDONLY, MS_SLAVE } from "../../bindings/abi/mount.ts";
import type { Mount } from "../spec/types.ts";
import { mountRequests } from "./mounts/requests.ts";
import { attributesOf, howOf, only, summary, testPlan } from "./plan.test-support.ts";
import { makeRestoreRoot, protectMaskSource } from "./restore-root.ts";

function planned(mounts: readonly Mount[]) {
  const { program, plan } = testPlan({ mounts }, { facts: { isDirectory: (source) => source !== "/file" } });
  makeRestoreRoot(program, plan.facts, mountRequests(plan), "/run/runts/box/criu-root");
  return program;
}

describe("makeRestoreRoot", () => {
  it("first cuts its mounts off from the host's", () => {
    const [first] = planned([]).operations;
    expect(first?.call).toBe("mount_setattr");
    expect(attributesOf(first).propagation).toBe(MS_SLAVE);
  });

  it("mounts the root file system once to make mount points, and again for criu", () => {
    expect(summary(planned([]).operations).slice(1)).toEqual([
      "openat /bundle/rootfs",
      "openat /run/runts/box/criu-root",
      "open_tree /bundle/rootfs",
      "move_mount /bundle/rootfs",
      "umount2 /run/runts/box/criu-root",
      "open_tree /bundle/rootfs",
      "move_mount /bundle/rootfs",
    ]);
  });

  it("makes mount points as create does: in the root, whatever links there are", () => {
    const program = planned([{ destination: "/a/b", type: "tmpfs" }]);
    expect(only(program, "mkdirat").map(({ path }) => path)).toEqual(["a", "a/b"]);
    for (const operation of only(program, "openat2"))
      expect(howOf(operation).resolve & RESOLVE_IN_ROOT).not.toBe(0);
  });

  it("makes a file for a file, and mounts each source, since later mount points may lie in it", () => {
    const program = planned([
      { destination: "/etc/hosts", source: "/file", options: ["bind"] },
      { destination: "/data", source: "/srv", options: ["rbind"] },
      { destination: "/data/deep", source: "/srv", options: ["bind"] },
    ]);
    expect(only(program, "open_tree").map(({ args }) => args[1])).toEqual(["", "/file", "/srv", "/srv", ""]);
    expect(only(program, "move_mount").map(({ path }) => path)).toEqual([
      "/bundle/rootfs",
      "/etc/hosts",
      "/data",
      "/data/deep",
      "/bundle/rootfs",
    ]);
    expect(only(program, "openat").map(({ path, args }) => path ?? args[1])).toContain("etc/hosts");
  });

  it("makes no mount points in file systems that criu restores", () => {
    const program = planned([
      { destination: "/dev", type: "tmpfs" },
      { destination: "/dev/pts", type: "devpts" },
      { destination: "/dev/file", source: "/file", options: ["bind"] },
      { destination: "/proc", options: ["remount", "ro"] },
    ]);
    expect(only(program, "mkdirat").map(({ path }) => path)).toEqual(["dev"]);
    expect(only(program, "open_tree")).toHaveLength(2);
  });

  it("names the property that needs the mount point", () => {
    const program = planned([{ destination: "/a", type: "tmpfs" }]);
    expect(only(program, "mkdirat")[0]).toMatchObject({
      pointer: "/mounts/0",
      purpose: "make the mount point /a",
    });
  });
});

describe("protectMaskSource", () => {
  it("mounts the host's /dev/null over itself, read-only", () => {
    const { program } = testPlan({});
    protectMaskSource(program, ["/proc/keys"]);
    expect(summary(program.operations)).toEqual([
      "openat /dev/null",
      "open_tree /dev/null",
      "mount_setattr /dev/null",
      "move_mount /dev/null",
      "close",
      "close",
    ]);
    expect(Number(attributesOf(only(program, "mount_setattr")[0]).set) & MOUNT_ATTR_RDONLY).toBe(
      MOUNT_ATTR_RDONLY,
    );
  });

  it("does nothing without masked paths", () => {
    const { program } = testPlan({});
    protectMaskSource(program, []);
    expect(program.operations).toEqual([]);
  });
});
