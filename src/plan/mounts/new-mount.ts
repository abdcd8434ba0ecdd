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
  MOUNT_ATTR_RDONLY,
  MS_DIRSYNC,
  MS_I_VERSION,
  MS_LAZYTIME,
  MS_MANDLOCK,
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
import { isContext, joinData } from "./data.ts";
import { MOUNT_FLAGS, type MountOptions, parseMountOptions } from "./options.ts";

/** Makes new file systems, and prepares them before or right after they are attached. */

/** Whether a file system may only be mounted on a path without symbolic links: proc and sysfs (CVE-2019-19921, CVE-2023-28642). */
export function refusesSymlinks(type: string): boolean {
  return type === "proc" || type === "sysfs";
}

export interface NewMount {
  readonly type: string;
  readonly source: string;
  readonly options: MountOptions;
  /** Leaves out `ro`, for a file system that is filled before it becomes read-only. */
  readonly writable: boolean;
  /** The option that gives its SELinux context, such as `context=LABEL`; empty for none. */
  readonly context: string;
}

/** A call that may be refused because the caller binds another mount instead, and the errors that mean so. */
export interface Refusal {
  readonly by: "fsopen" | "create";
  readonly errors: readonly string[];
}

/**
 * Makes a new file system by fsopen(2), fsconfig(2) and fsmount(2); returns its detached mount. If a call fails as `refusal` allows, `made` is
 * negative and `mount` is not set.
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
  const attributes = fsmountAttributes(options, writable);
  const unlessRefused: CallOptions = refusal === undefined ? {} : { if: [made, "ok"] };
  const mount = program.call("fsmount", [fs, FSMOUNT_CLOEXEC, attributes], { ...unlessRefused, path: type });
  program.do("close", [fs], opened);
  return { mount, made };
}

function fsmountAttributes({ attributes }: MountOptions, writable: boolean): number {
  return writable ? attributes.set & ~MOUNT_ATTR_RDONLY : attributes.set;
}

/** The options of a new file system, its context included, as mount(2)'s data. */
export function mountData(mount: ContextOf): string {
  return joinData(withContext(mount));
}

type ContextOf = Pick<NewMount, "type" | "options" | "context">;

function withContext({ type, options, context }: ContextOf): readonly string[] {
  return context !== "" && takesContext(type, options) ? [...options.data, context] : options.data;
}

/**
 * Like newMount, by mount(2), for options that fsconfig(2) does not take. mount(2) takes a path and returns no descriptor. So it mounts on
 * ".", which nothing can redirect: the working directory is a directory of a tmpfs that covers the target meanwhile. open_tree(2) then
 * copies the mount, and the tmpfs is unmounted. If mount(2) fails, the tmpfs is torn down with the mount namespace.
 */
export function newLegacyMount(
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
  // To return to: as working directory, the tmpfs would stay in use.
  const before = program.call("openat", [AT_FDCWD, ".", O_PATH | O_CLOEXEC, 0]);
  program.do("fchdir", [inside], { path: "new" });
  const data = mountData({ type, options, context });
  program.do("mount", [source, ".", type, legacyFlags(options, writable), data], { path: type });
  const copy = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW;
  const mount = program.call("open_tree", [place, "new", copy]);
  program.do("fchdir", [place], { path: "tmpfs" });
  program.do("umount2", [".", MNT_DETACH], { path: "tmpfs" });
  program.do("fchdir", [before], { path: "." });
  for (const fd of [inside, place, before]) program.do("close", [fd]);
  const set = fsmountAttributes(options, writable);
  const clear = options.attributes.clear & MOUNT_ATTR__ATIME;
  if (set !== 0) setMountAttributes(program, mount, { set, clear }, 0, { path: type });
  return mount;
}

/** Whether a file system can take a context when it is mounted, and the config gives it none of its own. */
function takesContext(type: string, { data }: MountOptions): boolean {
  if (type === "mqueue" || refusesSymlinks(type)) return false;
  return !data.some(isContext);
}

export const IVERSION = "iversion";

/** Sets MS_I_VERSION by a remount with mount(2), which needs all other flags again: fsconfig(2) has no such flag. */
export function setIversion(program: Program, mount: Register, options: MountOptions): void {
  const flags = MS_REMOUNT | MS_I_VERSION | legacyFlags(options, false);
  program.do("fchdir", [mount], { path: IVERSION });
  program.do("mount", [0, ".", 0, flags, 0], { path: IVERSION });
}

/** The MS_* flags of a file system and of its mount, without access times. */
function legacyFlags(options: MountOptions, writable: boolean): number {
  const set = fsmountAttributes(options, writable);
  let flags = 0;
  for (const flag of options.superblockFlags) flags |= MS_FLAGS[flag] ?? 0;
  for (const { attribute, msFlag } of MOUNT_FLAGS) if ((set & attribute) !== 0) flags |= msFlag;
  return flags;
}

/** Of a file system. `ro` is a flag of its mount as well, and comes with those. */
const MS_FLAGS: Readonly<Record<string, number>> = {
  dirsync: MS_DIRSYNC,
  lazytime: MS_LAZYTIME,
  mand: MS_MANDLOCK,
  sync: MS_SYNCHRONOUS,
};

/**
 * Gives a mount the ID mappings of a user namespace. The file system has to support that, and the mount has to be detached still.
 * mount_setattr(2), "ID-mapped mounts"
 */
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

/** Gives a tmpfs without `mode=` the permissions of the directory that it covers, if that existed before. */
export function keepModeOfCovered(program: Program, target: Target, mount: Register): void {
  const stat = program.output(statx.size);
  const guarded = { if: [target.existed, "ok"] } as const;
  program.do("statx", [target.fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE, stat], guarded);
  const mode = program.call("load", [at(stat, statx.stx_mode), 2], guarded);
  const directory = program.call("openat", [mount, ".", O_CLOEXEC, 0], guarded);
  program.do("fchmod", [directory, mode], guarded);
  program.do("close", [directory], guarded);
}
