import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  STATX_MODE,
  STATX_TYPE,
} from "../../../bindings/abi/fcntl.ts";
import { mount_attr, statx } from "../../../bindings/abi/layouts.ts";
import {
  FSCONFIG_CMD_CREATE,
  FSCONFIG_SET_FLAG,
  FSCONFIG_SET_STRING,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MNT_DETACH,
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_IDMAP,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MS_DIRSYNC,
  MS_I_VERSION,
  MS_LAZYTIME,
  MS_MANDLOCK,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_REMOUNT,
  MS_SYNCHRONOUS,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
} from "../../../bindings/abi/mount.ts";
import { at, type CallOptions, type Program, type Register } from "../../../bindings/stub/program.ts";
import { idMapOption } from "../../spec/id-mapped-mount.ts";
import type { Mount } from "../../spec/types.ts";
import { attach, setMountAttributes, type Target } from "../rootfs-paths.ts";
import { MOUNT_ATTR_SIZE, mountAttr } from "../structs.ts";
import { isContext, joinedData } from "./data.ts";
import { type MountOptions, parseMountOptions } from "./options.ts";

/** New file systems: their making, and what has to be done to them before or right after they are attached. */

/** proc and sysfs go only onto a directory that no symbolic link leads to (CVE-2019-19921, CVE-2023-28642). */
export function isStrict(type: string): boolean {
  return type === "proc" || type === "sysfs";
}

export interface NewMount {
  readonly type: string;
  readonly source: string;
  readonly options: MountOptions;
  /** Without `ro`, to be filled first. */
  readonly writable: boolean;
  /** The option with its SELinux context, `context=LABEL` or the like; empty for none. */
  readonly context: string;
}

/** Where the kernel may refuse a new mount to who could bind one instead: the call, and its errors. */
export interface Refusal {
  readonly by: "fsopen" | "create";
  readonly errors: readonly string[];
}

/**
 * fsopen(2), fsconfig(2), fsmount(2): a new file system, detached. With a `refusal`, `made` is negative where it came to that, and
 * `mount` is not set.
 */
export function newMount(
  program: Program,
  { type, source, options, writable, context }: NewMount,
  refusal?: Refusal,
): { readonly mount: Register; readonly made: Register } {
  const fs = program.call("fsopen", [type, FSOPEN_CLOEXEC], {
    tolerate: refusal?.by === "fsopen" ? refusal.errors : [],
  });
  const opened: CallOptions = refusal?.by === "fsopen" ? { if: [fs, "ok"] } : {};
  const set = (command: number, key: string, value: string | 0) => {
    const path = `${key}${value === 0 ? "" : `=${value}`}`;
    program.do("fsconfig", [fs, command, key, value, 0], { ...opened, path });
  };
  set(FSCONFIG_SET_STRING, "source", source);
  for (const flag of options.superblockFlags) {
    if (flag !== IVERSION && (flag !== "ro" || !writable)) set(FSCONFIG_SET_FLAG, flag, 0);
  }
  for (const option of withContext({ type, options, context })) {
    const equals = option.indexOf("=");
    if (equals < 0) set(FSCONFIG_SET_FLAG, option, 0);
    else set(FSCONFIG_SET_STRING, option.slice(0, equals), option.slice(equals + 1));
  }
  const created = program.call("fsconfig", [fs, FSCONFIG_CMD_CREATE, 0, 0, 0], {
    ...opened,
    path: type,
    tolerate: refusal?.by === "create" ? refusal.errors : [],
  });
  const made = refusal?.by === "fsopen" ? fs : created;
  const attributes = firstAttributes(options, writable);
  const unlessRefused: CallOptions = refusal === undefined ? {} : { if: [made, "ok"] };
  const mount = program.call("fsmount", [fs, FSMOUNT_CLOEXEC, attributes], { ...unlessRefused, path: type });
  program.do("close", [fs], opened);
  return { mount, made };
}

function firstAttributes({ attributes }: MountOptions, writable: boolean): number {
  return writable ? attributes.set & ~MOUNT_ATTR_RDONLY : attributes.set;
}

/** The options of a new file system as mount(2) takes them. */
export function dataOf(mount: ContextOf): string {
  return joinedData(withContext(mount));
}

type ContextOf = Pick<NewMount, "type" | "options" | "context">;

function withContext({ type, options, context }: ContextOf): readonly string[] {
  return context !== "" && takesContext(type, options) ? [...options.data, context] : options.data;
}

/**
 * mount(2): the same for options that fsconfig(2) does not take. It mounts only where a path leads to, and gives no descriptor of
 * what it has mounted. So it mounts on the working directory, which nothing can redirect: a directory of a tmpfs that stands in
 * the target's place meanwhile. From there the mount is copied. Where it fails, what is at the target goes as other mounts before
 * it do.
 */
export function newMountByString(
  program: Program,
  { type, source, options, writable, context }: NewMount,
  target: Register,
): Register {
  const placeOptions = parseMountOptions(["mode=700", "nosuid", "nodev", "noexec"]);
  const tmpfs = { type: "tmpfs", source: "tmpfs", options: placeOptions, context: "" };
  const { mount: place } = newMount(program, { ...tmpfs, writable: true });
  attach(program, place, target);
  program.do("mkdirat", [place, "new", 0o700]);
  const inside = program.call("openat", [place, "new", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0]);
  // The working directory would keep the tmpfs alive.
  const before = program.call("openat", [AT_FDCWD, ".", O_PATH | O_CLOEXEC, 0]);
  program.do("fchdir", [inside], { path: "new" });
  const data = dataOf({ type, options, context });
  program.do("mount", [source, ".", type, oldFlags(options, writable), data], { path: type });
  const copy = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW;
  const mount = program.call("open_tree", [place, "new", copy]);
  program.do("fchdir", [place], { path: "tmpfs" });
  program.do("umount2", [".", MNT_DETACH], { path: "tmpfs" });
  program.do("fchdir", [before], { path: "." });
  for (const fd of [inside, place, before]) program.do("close", [fd]);
  const set = firstAttributes(options, writable);
  const clear = options.attributes.clear & MOUNT_ATTR__ATIME;
  if (set !== 0) setMountAttributes(program, mount, { set, clear }, 0, { path: type });
  return mount;
}

/** Label of new file systems that can't take a context when they are mounted, or whose files have their own: none. */
function takesContext(type: string, { data }: MountOptions): boolean {
  if (type === "mqueue" || isStrict(type)) return false;
  return !data.some(isContext);
}

export const IVERSION = "iversion";

/** fsconfig(2) has no flag for MS_I_VERSION: only mount(2) sets it, which takes the other flags again. */
export function setIversion(program: Program, mount: Register, options: MountOptions): void {
  const flags = MS_REMOUNT | MS_I_VERSION | oldFlags(options, false);
  program.do("fchdir", [mount], { path: IVERSION });
  program.do("mount", [0, ".", 0, flags, 0], { path: IVERSION });
}

/** The flags of a file system and of its mount as mount(2) takes them, but for access times. */
function oldFlags({ superblockFlags, attributes }: MountOptions, writable: boolean): number {
  let flags = 0;
  for (const flag of superblockFlags) if (flag !== "ro" || !writable) flags |= MS_FLAGS[flag] ?? 0;
  // The values of MS_NOSUID, MS_NODEV and MS_NOEXEC are those of MOUNT_ATTR_*.
  flags |= attributes.set & (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if ((attributes.set & MOUNT_ATTR_NOSYMFOLLOW) !== 0) flags |= MS_NOSYMFOLLOW;
  return flags;
}

const MS_FLAGS: Readonly<Record<string, number>> = {
  dirsync: MS_DIRSYNC,
  lazytime: MS_LAZYTIME,
  mand: MS_MANDLOCK,
  ro: MS_RDONLY,
  sync: MS_SYNCHRONOUS,
};

/** mount_setattr(2): only the mount of a file system that supports it, and only before the mount is in its place. */
export function mapIds(
  program: Program,
  { type, options }: Mount,
  mount: Register,
  userNamespace: Register,
): void {
  const attributes = mountAttr({ set: MOUNT_ATTR_IDMAP });
  const recursive = idMapOption(options)?.recursive === true ? AT_RECURSIVE : 0;
  program.store(at(attributes, mount_attr.userns_fd), userNamespace, 8);
  program.do("mount_setattr", [mount, "", AT_EMPTY_PATH | recursive, attributes, MOUNT_ATTR_SIZE], {
    path: `id mappings of ${type}`,
  });
}

/** Without `mode=` a tmpfs takes the permissions of the directory that it covers, if that was there before. */
export function keepModeOfCovered(program: Program, target: Target, mount: Register): void {
  const stat = program.output(statx.size);
  const guarded = { if: [target.existed, "ok"] } as const;
  program.do("statx", [target.fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE, stat], guarded);
  const mode = program.call("load", [at(stat, statx.stx_mode), 2], guarded);
  const directory = program.call("openat", [mount, ".", O_CLOEXEC, 0], guarded);
  program.do("fchmod", [directory, mode], guarded);
  program.do("close", [directory], guarded);
}
