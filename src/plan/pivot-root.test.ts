import { describe, expect, it } from "vitest";
import { AT_RECURSIVE } from "../../bindings/abi/fcntl.ts";
import {
  MNT_DETACH,
  MOUNT_ATTR_RDONLY,
  MS_MOVE,
  MS_PRIVATE,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
} from "../../bindings/abi/mount.ts";
import type { Operation } from "../../bindings/stub/program.ts";
import type { Config, Linux, RootfsPropagation } from "../spec/types.ts";
import { attachRootfs, enterRootfs, isolateMounts, makeRootReadonly, openRootfs } from "./pivot-root.ts";
import { attributesOf, only, summary, type TestPlanOptions, testPlan } from "./plan.test-support.ts";

function withMounts(rootfsPropagation?: RootfsPropagation, options?: TestPlanOptions, path?: string) {
  const linux: Linux = {
    namespaces: [{ type: "mount", ...(path !== undefined && { path }) }],
    ...(rootfsPropagation !== undefined && { rootfsPropagation }),
  };
  return testPlan({ linux }, options);
}

/** Path, propagation and recursion of each mount_setattr. */
function propagations(operations: readonly Operation[]) {
  return operations
    .filter(({ call }) => call === "mount_setattr")
    .map((operation) => {
      const recursive = (Number(operation.args[2]) & AT_RECURSIVE) !== 0;
      return [operation.args[1], attributesOf(operation).propagation, recursive];
    });
}

describe("isolateMounts", () => {
  it.each<[RootfsPropagation | undefined, number, boolean]>([
    [undefined, MS_SLAVE, true],
    ["", MS_SLAVE, true],
    ["private", MS_PRIVATE, false],
    ["rprivate", MS_PRIVATE, true],
    ["slave", MS_SLAVE, false],
    ["rslave", MS_SLAVE, true],
    ["unbindable", MS_PRIVATE, false],
    ["runbindable", MS_PRIVATE, true],
  ])("with rootfsPropagation %j", (word, type, recursive) => {
    const { program, plan } = withMounts(word);
    isolateMounts(program, plan);
    // Mounts made below a mount that stays shared would show on the host.
    const further = recursive ? [] : [["/", word === "slave" ? MS_SLAVE : MS_PRIVATE, false]];
    expect(propagations(program.operations)).toEqual([["/", type, recursive], ...further]);
    expect(program.operations[0]?.pointer).toBe("/linux/rootfsPropagation");
  });

  it.each<[RootfsPropagation, boolean]>([
    ["shared", false],
    ["rshared", true],
  ])("with %s makes the mount that the rootfs lies on private, for pivot_root", (word, recursive) => {
    const { program, plan } = withMounts(word, { facts: { rootfsMountPoint: () => "/var" } });
    isolateMounts(program, plan);
    expect(propagations(program.operations)).toEqual([
      ["/", MS_SHARED, recursive],
      ["/var", MS_PRIVATE, false],
    ]);
  });

  it.each<RootfsPropagation>(["private", "rprivate"])("refuses %s with --no-pivot", (word) => {
    const { program, plan } = withMounts(word, { noPivot: true });
    expect(() => isolateMounts(program, plan)).toThrow("/linux/rootfsPropagation: private can't be combined");
  });

  it("does nothing in the host's mount namespace or in a joined one", () => {
    for (const { program, plan } of [testPlan({}), withMounts("rslave", {}, "/proc/1/ns/mnt")]) {
      isolateMounts(program, plan);
      expect(program.operations).toEqual([]);
    }
  });
});

describe("the rootfs", () => {
  it("becomes a copy of its mount tree, attached to the same directory", () => {
    const { program, plan } = withMounts();
    openRootfs(program, plan);
    attachRootfs(program, plan);
    expect(summary(program.operations)).toEqual([
      "openat /bundle/rootfs",
      "open_tree /bundle/rootfs",
      "move_mount /bundle/rootfs",
      "mount_setattr",
    ]);
    const [opened, copied, attached] = program.operations;
    expect(opened?.into).toBe(plan.rootfs);
    expect(copied?.into).toBe(plan.root);
    expect(attached?.args[0]).toBe(plan.root);
    expect(attached?.args[2]).toBe(plan.rootfs);
    expect(program.operations.every(({ pointer }) => pointer === "/root/path")).toBe(true);
  });

  for (const propagation of [undefined, "rshared"] as const) {
    it(`is private at the pivot_root with rootfsPropagation ${propagation}`, () => {
      const { program, plan } = withMounts(propagation);
      attachRootfs(program, plan);
      expect(propagations(program.operations)).toEqual([["", MS_PRIVATE, false]]);
    });
  }

  it("stays a slave of the host's mount if the config asks for that", () => {
    const { program, plan } = withMounts("rslave");
    attachRootfs(program, plan);
    expect(propagations(program.operations)).toEqual([]);
  });

  it.each<[string, Partial<Config>]>([
    ["a mount", { mounts: [{ destination: "/proc", type: "proc" }] }],
    ["a device", { linux: { devices: [{ type: "p", path: "/dev/fifo" }] } }],
    ["root.readonly", { root: { path: "rootfs", readonly: true } }],
  ])("is a private mount for %s without a mount namespace", (_what, config) => {
    const { program, plan } = testPlan(config);
    openRootfs(program, plan);
    attachRootfs(program, plan);
    expect(summary(program.operations)).toContain("move_mount /bundle/rootfs");
    expect(propagations(program.operations)).toEqual([["", MS_PRIVATE, true]]);
  });

  it("is only opened without a mount namespace and with nothing to mount", () => {
    const { program, plan } = testPlan({});
    openRootfs(program, plan);
    attachRootfs(program, plan);
    expect(summary(program.operations)).toEqual(["openat /bundle/rootfs", "copy"]);
  });

  it("becomes read-only with root.readonly alone", () => {
    const { program, plan } = testPlan({ root: { path: "rootfs", readonly: true } });
    makeRootReadonly(program, plan);
    expect(program.operations.map(attributesOf)).toMatchObject([{ set: MOUNT_ATTR_RDONLY, clear: 0 }]);
    expect(program.operations[0]).toMatchObject({ pointer: "/root/readonly" });
    const writable = testPlan({ root: { path: "rootfs", readonly: false } });
    makeRootReadonly(writable.program, writable.plan);
    expect(writable.program.operations).toEqual([]);
  });
});

describe("enterRootfs", () => {
  it("pivots, and unmounts the old root as a slave, so that the host keeps its mounts", () => {
    const { program, plan } = withMounts();
    enterRootfs(program, plan);
    expect(summary(program.operations)).toEqual([
      "openat /proc/self/ns/mnt",
      "setns /proc/self/ns/mnt",
      "close",
      "openat /",
      "fchdir /bundle/rootfs",
      "pivot_root /bundle/rootfs",
      "fchdir /",
      "mount_setattr",
      "umount2 the old root",
      "close",
      "chdir /",
    ]);
    expect(propagations(program.operations)).toEqual([["", MS_SLAVE, true]]);
    expect(only(program, "umount2")[0]?.args).toEqual([".", MNT_DETACH]);
    expect(only(program, "pivot_root")[0]?.args).toEqual([".", "."]);
  });

  it.each<[RootfsPropagation, number, boolean]>([
    ["shared", MS_SHARED, false],
    ["runbindable", MS_UNBINDABLE, true],
  ])("sets the propagation %s of the root mount last", (word, type, recursive) => {
    const { program, plan } = withMounts(word);
    enterRootfs(program, plan);
    expect(propagations(program.operations.slice(-1))).toEqual([["/", type, recursive]]);
    expect(program.operations.at(-1)?.pointer).toBe("/linux/rootfsPropagation");
  });

  it.each<[RootfsPropagation, number, boolean]>([
    ["private", MS_PRIVATE, false],
    ["rslave", MS_SLAVE, true],
  ])(
    "sets %s last only in a joined namespace, so that mounts keep their own propagation",
    (word, type, recursive) => {
      const created = withMounts(word);
      enterRootfs(created.program, created.plan);
      expect(created.program.operations.at(-1)?.call).toBe("chdir");
      const joined = withMounts(word, {}, "/proc/1/ns/mnt");
      enterRootfs(joined.program, joined.plan);
      expect(propagations(joined.program.operations.slice(-1))).toEqual([["/", type, recursive]]);
    },
  );

  it("changes the root directory without a mount namespace, and touches no mount", () => {
    const { program, plan } = testPlan({ linux: { rootfsPropagation: "rslave" } });
    enterRootfs(program, plan);
    expect(summary(program.operations)).toEqual([
      "fchdir /bundle/rootfs",
      "chroot /bundle/rootfs",
      "chdir /",
    ]);
  });

  it("moves the rootfs over / with --no-pivot, after unmounting procfs and sysfs of the host", () => {
    const { program, plan } = withMounts(undefined, {
      noPivot: true,
      facts: { hostPseudoMounts: () => ["/sys", "/proc"] },
    });
    enterRootfs(program, plan);
    expect(summary(program.operations)).toEqual([
      "openat /proc/self/ns/mnt",
      "mount_setattr /sys",
      "umount2 /sys ?ok",
      "mount_setattr /proc",
      "umount2 /proc ?ok",
      "setns /proc/self/ns/mnt",
      "close",
      "fchdir /bundle/rootfs",
      "mount /bundle/rootfs",
      "chroot .",
      "chdir /",
    ]);
    expect(only(program, "mount")[0]?.args).toEqual([".", "/", 0, MS_MOVE, 0]);
    expect(propagations(program.operations)).toEqual([
      ["/sys", MS_PRIVATE, true],
      ["/proc", MS_PRIVATE, true],
    ]);
  });
});
