import { describe, expect, it } from "vitest";
import { AT_RECURSIVE, O_DIRECTORY, RESOLVE_IN_ROOT } from "../../../bindings/abi/fcntl.ts";
import {
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  OPEN_TREE_CLONE,
} from "../../../bindings/abi/mount.ts";
import { attributesOf, howOf, only, summary, testPlan } from "../plan.test-support.ts";
import { maskPaths, protectReadonlyPaths } from "./masked-paths.ts";

describe("read-only paths", () => {
  it("binds each over itself with its submounts, read-only before it is attached", () => {
    const { program, plan } = testPlan({ linux: { readonlyPaths: ["/proc/sys", "/proc/bus"] } });
    protectReadonlyPaths(program, plan);
    expect(summary(program.operations.slice(0, 6))).toEqual([
      "openat2 /proc/sys",
      "open_tree /proc/sys ?positive",
      "mount_setattr /proc/sys ?positive",
      "move_mount /proc/sys ?positive",
      "close /proc/sys ?positive",
      "close /proc/sys ?positive",
    ]);
    const copyFlags = Number(only(program, "open_tree")[0]?.args[2]);
    expect(copyFlags & AT_RECURSIVE).toBe(AT_RECURSIVE);
    expect(copyFlags & OPEN_TREE_CLONE).toBe(OPEN_TREE_CLONE);
    expect(attributesOf(only(program, "mount_setattr")[0])).toMatchObject({
      set: MOUNT_ATTR_RDONLY,
      clear: 0,
    });
    expect(new Set(program.operations.map(({ pointer }) => pointer))).toEqual(
      new Set(["/linux/readonlyPaths/0", "/linux/readonlyPaths/1"]),
    );
  });

  it("tolerates missing paths, and no other error", () => {
    const { program, plan } = testPlan({ linux: { readonlyPaths: ["/proc/gone"] } });
    protectReadonlyPaths(program, plan);
    const [opened, ...rest] = program.operations;
    expect(opened?.tolerate).toEqual(["ENOENT", "ENOTDIR"]);
    expect(howOf(opened).resolve & RESOLVE_IN_ROOT).toBe(RESOLVE_IN_ROOT);
    expect(rest.every(({ guard }) => guard?.on === opened?.into)).toBe(true);
    expect(rest.every(({ tolerate }) => tolerate.length === 0)).toBe(true);
  });
});

describe("masked paths", () => {
  it("mounts nothing on a path that is listed twice, even if spelled differently", () => {
    const { program, plan } = testPlan({
      linux: { maskedPaths: ["/a", "/b", "//a/."], readonlyPaths: ["/c", "/c/"] },
    });
    maskPaths(program, plan, plan.hostProc);
    protectReadonlyPaths(program, plan);
    const pointers = new Set(program.operations.map(({ pointer }) => pointer));
    expect([...pointers].sort()).toEqual([
      "/linux/maskedPaths",
      "/linux/maskedPaths/0",
      "/linux/maskedPaths/1",
      "/linux/readonlyPaths/0",
    ]);
  });

  it("makes no empty file system without masked paths", () => {
    const { program, plan } = testPlan({ linux: { maskedPaths: [] } });
    maskPaths(program, plan, plan.hostProc);
    expect(program.operations).toEqual([]);
  });

  it("covers directories with one shared empty file system, and files with the host's null device", () => {
    const { program, plan } = testPlan({ linux: { maskedPaths: ["/proc/kcore", "/sys/firmware"] } });
    const hostNull = plan.hostProc;
    maskPaths(program, plan, hostNull);
    expect(only(program, "fsopen")).toHaveLength(1);
    expect(summary(program.operations.filter(({ pointer }) => pointer === "/linux/maskedPaths/0"))).toEqual([
      "openat2 /proc/kcore",
      "open_tree /proc/kcore ?positive",
      "move_mount /proc/kcore ?failed",
      "move_mount /proc/kcore ?positive",
      "close ?positive",
      "close /proc/kcore ?positive",
      "openat2 /proc/kcore ?failed",
      "open_tree /proc/kcore ?positive",
      "mount_setattr /proc/kcore ?positive",
      "move_mount /proc/kcore ?positive",
      "close /proc/kcore ?positive",
      "close /proc/kcore ?positive",
    ]);
    const [directory, file] = only(program, "openat2");
    expect(howOf(directory).flags & O_DIRECTORY).toBe(O_DIRECTORY);
    expect(howOf(file).flags & O_DIRECTORY).toBe(0);
    expect(file?.guard).toEqual({ on: directory?.into, is: "failed" });
    const copies = only(program, "open_tree").map(({ args }) => args[0]);
    const empty = only(program, "fsmount")[0]?.into;
    expect(copies).toEqual([empty, hostNull, empty, hostNull]);
  });

  it("binds the null device read-only before it is attached, and never nodev, so that it can be opened", () => {
    const { program, plan } = testPlan({ linux: { maskedPaths: ["/proc/kcore"] } });
    maskPaths(program, plan, plan.hostProc);
    const [change] = only(program, "mount_setattr");
    const copies = only(program, "open_tree");
    expect(change?.args[0]).toBe(copies.at(-1)?.into);
    expect(attributesOf(change)).toMatchObject({
      set: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
      clear: 0,
    });
  });

  it("makes the empty file system read-only, with a single inode", () => {
    const { program, plan } = testPlan({ linux: { maskedPaths: ["/sys/firmware"] } });
    maskPaths(program, plan, plan.hostProc);
    expect(Number(only(program, "fsmount")[0]?.args[2]) & MOUNT_ATTR_RDONLY).toBe(MOUNT_ATTR_RDONLY);
    expect(only(program, "fsconfig").map(({ args }) => args.slice(2, 4))).toEqual([
      ["ro", 0],
      ["source", "tmpfs"],
      ["nr_inodes", "1"],
      [0, 0],
    ]);
  });
});
