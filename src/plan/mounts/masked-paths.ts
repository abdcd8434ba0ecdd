import { AT_EMPTY_PATH, AT_RECURSIVE, O_DIRECTORY } from "../../../bindings/abi/fcntl.ts";
import {
  FSCONFIG_CMD_CREATE,
  FSCONFIG_SET_FLAG,
  FSCONFIG_SET_STRING,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
} from "../../../bindings/abi/mount.ts";
import type { CallOptions, Program, Register } from "../../../bindings/stub/program.ts";
import type { InitPlan } from "../init-plan.ts";
import { attach, cleanPath, protectHostNode, setMountAttributes } from "../rootfs-paths.ts";
import { basesOf, openFrom } from "./made-mounts.ts";

/** Errors of a path that needs no mask: it doesn't exist, an earlier mask hides it already, or a parent is a file. */
const GONE = ["ENOENT", "ENOTDIR"];

const CLONE = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

/** Binds each path over itself, read-only; other mount flags stay as they are. config-linux.md, Readonly Paths. */
export function protectReadonlyPaths(program: Program, plan: InitPlan): void {
  const paths = (plan.config.linux?.readonlyPaths ?? []).map(cleanPath);
  paths.forEach((path, index) => {
    if (isListedBefore(paths, index)) return;
    program.about(`/linux/readonlyPaths/${index}`, `make ${path} read-only`);
    let before: CallOptions = {};
    for (const base of basesOf(plan, path)) {
      const target = openFrom(program, base, path, { ...before, tolerate: GONE });
      const found = { if: [target, "positive"], path } as const;
      const copy = program.call("open_tree", [target, "", CLONE | AT_EMPTY_PATH | AT_RECURSIVE], found);
      setMountAttributes(program, copy, { set: MOUNT_ATTR_RDONLY }, 0, found);
      attach(program, copy, target, found);
      program.do("close", [copy], found);
      program.do("close", [target], found);
      before = { if: [target, "failed"] };
    }
  });
}

/**
 * Masks paths: binds the host's verified /dev/null over a file, and an empty tmpfs over a directory, both read-only. All directories share
 * one tmpfs, so that many masks don't need many file systems (runc issue 5275). config-linux.md, Masked Paths.
 */
export function maskPaths(program: Program, plan: InitPlan, hostNull: Register): void {
  const paths = (plan.config.linux?.maskedPaths ?? []).map(cleanPath);
  if (paths.length === 0) return;
  program.about("/linux/maskedPaths", "make an empty tmpfs for masked directories");
  const empty = emptyFileSystem(program, plan.facts.mountLabel);
  paths.forEach((path, index) => {
    if (isListedBefore(paths, index)) return;
    program.about(`/linux/maskedPaths/${index}`, `mask ${path}`);
    let before: CallOptions = {};
    for (const base of basesOf(plan, path)) {
      const directory = openFrom(program, base, path, { ...before, tolerate: GONE, flags: O_DIRECTORY });
      maskDirectory(program, directory, empty, path);
      const file = openFrom(program, base, path, { if: [directory, "failed"], tolerate: GONE });
      maskFile(program, file, hostNull, path);
      before = { if: [file, "failed"] };
    }
  });
}

/** Whether a path is a repetition: engines append their users' lists to their own. One mount is enough. */
function isListedBefore(paths: readonly string[], index: number): boolean {
  return paths.indexOf(paths[index] ?? "") < index;
}

/** Makes an empty, read-only tmpfs and returns its detached mount. `label` is its SELinux context, empty for none. */
export function emptyFileSystem(
  program: Program,
  label: string,
  { into, ...guard }: CallOptions = {},
): Register {
  const fs = program.call("fsopen", ["tmpfs", FSOPEN_CLOEXEC], guard);
  program.do("fsconfig", [fs, FSCONFIG_SET_FLAG, "ro", 0, 0], guard);
  program.do("fsconfig", [fs, FSCONFIG_SET_STRING, "source", "tmpfs", 0], guard);
  program.do("fsconfig", [fs, FSCONFIG_SET_STRING, "nr_inodes", "1", 0], guard);
  if (label !== "") program.do("fsconfig", [fs, FSCONFIG_SET_STRING, "context", label, 0], guard);
  program.do("fsconfig", [fs, FSCONFIG_CMD_CREATE, 0, 0, 0], guard);
  const attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  const options = into === undefined ? guard : { ...guard, into };
  const mount = program.call("fsmount", [fs, FSMOUNT_CLOEXEC, attributes], options);
  program.do("close", [fs], guard);
  return mount;
}

function maskFile(program: Program, file: Register, hostNull: Register, path: string): void {
  const found = { if: [file, "positive"], path } as const;
  const mask = program.call("open_tree", [hostNull, "", CLONE | AT_EMPTY_PATH], found);
  protectHostNode(program, mask, found);
  attach(program, mask, file, found);
  program.do("close", [mask], found);
  program.do("close", [file], found);
}

/**
 * Masks a directory. The first one gets the tmpfs's own mount, all others copies of it: before Linux 6.15 only an attached mount can be
 * copied, and open_tree(2) fails with EINVAL for a detached one.
 */
function maskDirectory(program: Program, directory: Register, empty: Register, path: string): void {
  const found = { if: [directory, "positive"], path } as const;
  const copy = program.call("open_tree", [empty, "", CLONE | AT_EMPTY_PATH], {
    ...found,
    tolerate: ["EINVAL"],
  });
  attach(program, empty, directory, { if: [copy, "failed"], path });
  attach(program, copy, directory, { if: [copy, "positive"], path });
  program.do("close", [copy], { if: [copy, "positive"] });
  program.do("close", [directory], found);
}
