import {
  AT_EMPTY_PATH,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from "../../bindings/abi/fcntl.ts";
import {
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
} from "../../bindings/abi/mount.ts";
import type { CallOptions, Program, Register } from "../../bindings/stub/program.ts";
import { MOUNT_ATTR_SIZE, type MountAttributes, mountAttr, OPEN_HOW_SIZE, openHow } from "./structs.ts";

/**
 * Opens paths of the container: always from the descriptor of the rootfs, by openat2(2) with RESOLVE_IN_ROOT. All operations then act on the
 * descriptor that it returns. The container's author owns every component of such a path and may change it at any time (CVE-2021-30465,
 * CVE-2024-45310, CVE-2025-31133).
 */

export interface OpenOptions extends CallOptions {
  /** Refuses a symbolic link anywhere in the path (CVE-2019-19921, CVE-2026-41579). */
  readonly noSymlinks?: boolean;
  /** Flags in addition to O_PATH, such as O_DIRECTORY. */
  readonly flags?: number;
  /** Fails with EXDEV if the path leads out of `root` (RESOLVE_BENEATH), instead of taking `root` as its root directory. */
  readonly beneath?: boolean;
}

/** Opens a path below `root` as O_PATH. */
export function openInRoot(
  program: Program,
  root: Register,
  path: string,
  options: OpenOptions = {},
): Register {
  const links = options.noSymlinks === true ? RESOLVE_NO_SYMLINKS : RESOLVE_NO_MAGICLINKS;
  const scope = options.beneath === true ? RESOLVE_BENEATH : RESOLVE_IN_ROOT;
  const how = openHow(O_PATH | O_CLOEXEC | (options.flags ?? 0), 0, scope | links);
  return program.call("openat2", [root, relative(path), how, OPEN_HOW_SIZE], { path, ...options });
}

/** The path as openat2(2) takes it: relative, and "." for the root itself, since an empty path is an error. */
function relative(path: string): string {
  return components(path).join("/") || ".";
}

/** The names of a path, with `.` and `..` resolved lexically; `..` stops at the root. */
export function components(path: string): string[] {
  const result: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") result.pop();
    else if (part !== "" && part !== ".") result.push(part);
  }
  return result;
}

/** An absolute path without `.`, `..` and doubled slashes; a relative one is read relative to "/" (config.md, Mounts). */
export function cleanPath(path: string): string {
  // Fast path: most are clean, and a set-up asks for many.
  const isClean = path.startsWith("/") && !path.includes("//") && !path.includes("/.");
  if (isClean && !path.endsWith("/")) return path;
  return `/${components(path).join("/")}`;
}

/** Whether a clean absolute path equals the other one or lies below it. */
export function isAtOrBelow(path: string, other: string): boolean {
  return path === other || path.startsWith(other === "/" ? "/" : `${other}/`);
}

/** Result of openOrCreate: the target, and whether it existed before. */
export interface Target {
  readonly fd: Register;
  /** Not negative if the target existed before. */
  readonly existed: Register;
}

/** How openOrCreate opens a path. */
export interface OpenOrCreateOptions {
  /** Refuses a symbolic link anywhere in the path. */
  readonly noSymlinks?: boolean;
  /** Opens a symbolic link at the end of the path itself, not its target. */
  readonly noFollow?: boolean;
  /** Path of `root` in the container, for messages; absent if it is the container's root. */
  readonly within?: string;
  /** A directory to look beneath first, and the path from it. */
  readonly lookFirst?: { readonly from: Register; readonly path: string };
}

/**
 * Opens a path below `root` and creates what is missing: directories with mode 0755, and as last component a directory or an empty file. Each
 * is created through the descriptor of its parent, with O_EXCL and without following symbolic links, so that nothing can be created outside
 * of the rootfs.
 */
export function openOrCreate(
  program: Program,
  root: Register,
  path: string,
  kind: "directory" | "file",
  { noSymlinks = false, noFollow = false, within, lookFirst }: OpenOrCreateOptions = {},
): Target {
  const parts = components(path);
  const shown = (prefix: string) => [within ?? "", prefix].filter(Boolean).join("/");
  // For a file in place of a directory this gives ENOTDIR, as mount(2) does; move_mount(2) would give EINVAL.
  const flags = (kind === "directory" ? O_DIRECTORY : 0) | (noFollow ? O_NOFOLLOW : 0);
  const whole = { noSymlinks, flags, path: within === undefined ? path : `/${shown(path)}` };
  const existed = openExisting(program, root, path, whole, lookFirst);
  const fd = program.call("copy", [existed], { tolerate: ["any"] });
  let parent = root;
  parts.forEach((name, index) => {
    const isLast = index === parts.length - 1;
    const prefix = parts.slice(0, index + 1).join("/");
    if (isLast) {
      createIn(program, parent, name, kind, {
        if: [existed, "failed"],
        tolerate: ["EEXIST"],
        path: shown(prefix),
      });
      return;
    }
    const found = openInRoot(program, root, prefix, {
      if: [existed, "failed"],
      tolerate: ["ENOENT"],
      flags: O_DIRECTORY,
      path: shown(prefix),
    });
    program.do("mkdirat", [parent, name, 0o755], {
      if: [found, "failed"],
      tolerate: ["EEXIST"],
      path: shown(prefix),
    });
    openInRoot(program, root, prefix, {
      if: [found, "failed"],
      into: found,
      flags: O_DIRECTORY,
      path: shown(prefix),
    });
    parent = found;
  });
  openInRoot(program, root, path, { ...whole, if: [existed, "failed"], into: fd });
  return { fd, existed };
}

/** Opens the path if it exists: beneath `lookFirst`, then below the root. */
function openExisting(
  program: Program,
  root: Register,
  path: string,
  options: OpenOptions,
  lookFirst: OpenOrCreateOptions["lookFirst"],
): Register {
  if (lookFirst === undefined) return openInRoot(program, root, path, { ...options, tolerate: ["ENOENT"] });
  const existed = openInRoot(program, lookFirst.from, lookFirst.path, {
    ...options,
    beneath: true,
    tolerate: ["ENOENT", "EXDEV"],
  });
  const otherwise: OpenOptions = { ...options, if: [existed, "failed"], into: existed, tolerate: ["ENOENT"] };
  openInRoot(program, root, path, otherwise);
  return existed;
}

function createIn(
  program: Program,
  parent: Register,
  name: string,
  kind: "directory" | "file",
  options: CallOptions,
): void {
  if (kind === "directory") {
    program.do("mkdirat", [parent, name, 0o755], options);
    return;
  }
  const created = program.call(
    "openat",
    [parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644],
    options,
  );
  program.do("close", [created], { if: [created, "positive"] });
}

/** Attaches a detached mount to an open target. move_mount(2). */
export function attach(program: Program, mount: Register, target: Register, options: CallOptions = {}): void {
  const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  program.do("move_mount", [mount, "", target, "", flags], options);
}

/**
 * Attaches a mount of a file. If the target is a directory, move_mount(2) fails with EINVAL, which can mean many things. It is then called
 * again with the file as a directory to start from, which gives ENOTDIR: that is what mount(2) gives, and engines explain it to their users.
 */
export function attachFile(
  program: Program,
  mount: Register,
  target: Register,
  options: CallOptions = {},
): void {
  const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  const args = [mount, "", target, "", flags];
  const moved = program.call("move_mount", args, { ...options, tolerate: ["EINVAL"] });
  const refused: CallOptions = { ...options, if: [moved, "failed"] };
  const directory = program.call("openat", [target, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0], {
    ...refused,
    tolerate: ["any"],
  });
  program.do("move_mount", [mount, ".", target, "", MOVE_MOUNT_T_EMPTY_PATH], {
    ...options,
    if: [directory, "positive"],
  });
  program.do("move_mount", args, refused);
}

/** Changes flags or propagation of the mount that a descriptor stands for. mount_setattr(2). */
export function setMountAttributes(
  program: Program,
  mount: Register,
  attributes: MountAttributes,
  atFlags = 0,
  options: CallOptions = {},
): void {
  program.do(
    "mount_setattr",
    [mount, "", AT_EMPTY_PATH | atFlags, mountAttr(attributes), MOUNT_ATTR_SIZE],
    options,
  );
}

/**
 * Makes the detached mount of a host's device node read-only. Mode, owner and times belong to the host's inode, and a container whose root is
 * the host's root could change them. A device can still be written to on a read-only mount; but with nodev it couldn't be opened.
 */
export function protectHostNode(program: Program, mount: Register, options: CallOptions): void {
  const set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  setMountAttributes(program, mount, { set }, 0, options);
}
