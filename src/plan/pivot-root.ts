import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
} from "../../bindings/abi/fcntl.ts";
import {
  MNT_DETACH,
  MOUNT_ATTR_RDONLY,
  MS_MOVE,
  MS_PRIVATE,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
} from "../../bindings/abi/mount.ts";
import { CLONE_NEWNS } from "../../bindings/abi/sched.ts";
import type { Program, Register } from "../../bindings/stub/program.ts";
import { RuntsError } from "../errors.ts";
import type { Config } from "../spec/types.ts";
import { hasNamespace, type InitPlan, type Namespaces } from "./init-plan.ts";
import { parsePropagation } from "./mounts/options.ts";
import { attach, setMountAttributes } from "./rootfs-paths.ts";
import { MOUNT_ATTR_SIZE, mountAttr } from "./structs.ts";

function hasMountNamespace(plan: InitPlan): boolean {
  return hasNamespace(plan.namespaces, "mount");
}

/** Whether the container's mounts are made in the caller's mount namespace, since it has none of its own. */
export function mountsForCaller({ root, mounts = [], linux }: Config, namespaces: Namespaces): boolean {
  if (hasNamespace(namespaces, "mount")) return false;
  return root.readonly === true || mounts.length > 0 || (linux?.devices ?? []).length > 0;
}

/** Whether the rootfs becomes a mount of the container's own, so that nothing mounted or made in it shows on the host. */
export function hasRootMount(plan: InitPlan): boolean {
  return hasMountNamespace(plan) || mountsForCaller(plan.config, plan.namespaces);
}

/**
 * Isolates the container's mounts from the host's: by default they become slaves, so that no mount of the container shows on the host. With a
 * shared rootfsPropagation they stay peers, as the config asks.
 */
export function isolateMounts(program: Program, plan: InitPlan): void {
  if (!plan.namespaces.created.has("mount")) return;
  const wanted = parsePropagation(plan.config.linux?.rootfsPropagation ?? "");
  if (plan.noPivot && wanted?.type === MS_PRIVATE) {
    // The host's mounts stay below the container's root. If they were private, an unmount on the host would never reach them.
    const pointer = "/linux/rootfsPropagation";
    throw new RuntsError(`${pointer}: private can't be combined with --no-pivot`, {
      operation: "create",
      pointer,
    });
  }
  program.about("/linux/rootfsPropagation", "set the propagation of all mounts");
  const { type, recursive } = wanted ?? { type: MS_SLAVE, recursive: true };
  // The sources of bind mounts are still to be copied, which an unbindable mount can't be: they are private until the end.
  setPropagationAt(program, "/", type === MS_UNBINDABLE ? MS_PRIVATE : type, recursive);
  if (type === MS_SHARED || !recursive) {
    // pivot_root(2) refuses a new root whose parent mount is shared, and mounts made on a shared mount show on the host. The root mount is a
    // copy of this mount, and so inherits its propagation.
    const ofRootfs = type === MS_SLAVE ? MS_SLAVE : MS_PRIVATE;
    setPropagationAt(program, plan.facts.rootfsMountPoint(), ofRootfs, false);
  }
}

function setPropagationAt(
  program: Program,
  path: string,
  propagation: number,
  recursive: boolean,
  tolerate: readonly string[] = [],
): Register {
  const args = [AT_FDCWD, path, recursive ? AT_RECURSIVE : 0, mountAttr({ propagation }), MOUNT_ATTR_SIZE];
  return program.call("mount_setattr", args, { path, tolerate });
}

/**
 * Opens the rootfs. If anything is mounted in it, `root` becomes a copy of its mount tree. So the root is a mount, as pivot_root needs,
 * and a later change of the path does not affect the container.
 */
export function openRootfs(program: Program, plan: InitPlan): void {
  const { rootfs } = plan.facts;
  program.about("/root/path", `open the root file system ${rootfs}`);
  program.call("openat", [AT_FDCWD, rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC, 0], { into: plan.rootfs });
  if (hasRootMount(plan)) {
    const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
    program.call("open_tree", [plan.rootfs, "", flags], { into: plan.root, path: rootfs });
  } else {
    program.call("copy", [plan.rootfs], { into: plan.root });
  }
}

/** Attaches the copied mount tree to the directory that it was copied from. */
export function attachRootfs(program: Program, plan: InitPlan): void {
  if (!hasRootMount(plan)) return;
  program.about("/root/path", `mount the root file system ${plan.facts.rootfs}`);
  attach(program, plan.root, plan.rootfs, { path: plan.facts.rootfs });
  const wanted = parsePropagation(plan.config.linux?.rootfsPropagation ?? "");
  if (!hasMountNamespace(plan)) {
    // Mounts made below a shared mount would show in every mount namespace that has a peer of it.
    setMountAttributes(program, plan.root, { propagation: MS_PRIVATE }, AT_RECURSIVE);
  } else if (wanted === undefined || wanted.type === MS_SHARED) {
    // pivot_root(2) puts the old root on top of the new one, which must not be shared then. And unless the config asks for it, the container
    // does not get what the host mounts later below a rootfs that is a mount point, as engines' are. runc and crun do the same.
    setMountAttributes(program, plan.root, { propagation: MS_PRIVATE });
  }
}

export function makeRootReadonly(program: Program, plan: InitPlan): void {
  if (plan.config.root.readonly !== true) return;
  program.about("/root/readonly", "make the root file system read-only");
  setMountAttributes(program, plan.root, { set: MOUNT_ATTR_RDONLY });
}

/** Makes the rootfs the root directory. From here on the host's file systems can't be reached. */
export function enterRootfs(program: Program, plan: InitPlan): void {
  if (!hasMountNamespace(plan)) {
    const path = plan.facts.rootfs;
    program.about("/root/path", "change the root directory");
    program.do("fchdir", [plan.root], { path });
    program.do("chroot", ["."], { path });
  } else if (plan.noPivot) {
    moveRoot(program, plan);
  } else {
    pivotRoot(program, plan);
  }
  program.do("chdir", ["/"]);
  const propagation = parsePropagation(plan.config.linux?.rootfsPropagation ?? "");
  if (propagation === undefined || !hasMountNamespace(plan)) return;
  // In a new namespace isolateMounts has made all mounts private or slaves already. Here it would undo the propagation of single mounts.
  const { type, recursive } = propagation;
  if (plan.namespaces.created.has("mount") && (type === MS_PRIVATE || type === MS_SLAVE)) return;
  program.about("/linux/rootfsPropagation", "set the propagation of the root mount");
  setPropagationAt(program, "/", type, recursive);
}

/**
 * Opens the mount namespace that the process is in, while there is a /proc, for setns(2) into it: that changes the root directory to the root
 * of the namespace. It matters if runts itself runs in a chroot(2). There pivot_root(2) would change only the root mount of the chroot and
 * leave the namespace's own, where setns(2) arrives, so that `exec` would put a process on the host's root file system.
 */
function openMountNamespace(program: Program): Register {
  program.about("/root/path", "go to the root of the mount namespace, where exec will arrive");
  return program.call("openat", [AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC, 0]);
}

function enterNamespaceRoot(program: Program, namespace: Register): void {
  program.do("setns", [namespace, CLONE_NEWNS], { path: "/proc/self/ns/mnt" });
  program.do("close", [namespace]);
}

/** pivot_root(".", "."), as in pivot_root(2), "Notes": the old root ends up on top of the new one and is unmounted there. */
function pivotRoot(program: Program, plan: InitPlan): void {
  enterNamespaceRoot(program, openMountNamespace(program));
  program.about("/root/path", "pivot_root");
  const { rootfs } = plan.facts;
  const oldRoot = program.call("openat", [AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0]);
  program.do("fchdir", [plan.root], { path: rootfs });
  program.do("pivot_root", [".", "."], { path: rootfs });
  program.do("fchdir", [oldRoot], { path: "/" });
  // The unmount must not propagate to the host.
  setMountAttributes(program, oldRoot, { propagation: MS_SLAVE }, AT_RECURSIVE);
  program.do("umount2", [".", MNT_DETACH], { path: "the old root" });
  program.do("close", [oldRoot]);
}

/**
 * Moves the rootfs over "/" (--no-pivot, for a rootfs on a ramdisk, where pivot_root can't be used). The host's mounts stay below it. So its
 * procfs and sysfs are unmounted first: the kernel lets a user namespace mount these anew, unmasked, where it can see full ones.
 */
function moveRoot(program: Program, plan: InitPlan): void {
  const namespace = openMountNamespace(program);
  program.about("/root/path", "move the root file system to / (--no-pivot)");
  for (const mountPoint of plan.facts.hostPseudoMounts()) {
    // The host may have unmounted it since it was listed (EINVAL), or removed the path (ENOENT).
    const isPrivate = setPropagationAt(program, mountPoint, MS_PRIVATE, true, ["EINVAL", "ENOENT"]);
    program.do("umount2", [mountPoint, MNT_DETACH], { if: [isPrivate, "ok"], tolerate: ["EINVAL", "EPERM"] });
  }
  enterNamespaceRoot(program, namespace);
  program.do("fchdir", [plan.root], { path: plan.facts.rootfs });
  program.do("mount", [".", "/", 0, MS_MOVE, 0], { path: plan.facts.rootfs });
  program.do("chroot", ["."]);
}
