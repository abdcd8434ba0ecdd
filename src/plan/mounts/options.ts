import {
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_PRIVATE,
  MS_RDONLY,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
} from "../../../bindings/abi/mount.ts";
import { isIdMapOption } from "../../spec/id-mapped-mount.ts";
import { dataWords } from "./data.ts";

/**
 * The options of `mounts`, by the table that each stands in. To add one:
 *
 * - a flag of the mount (MOUNT_ATTR_*): a row of MOUNT_FLAGS, which gives it a recursive form as well, with the prefix `r`;
 * - an option for access times: a row of ACCESS_TIMES;
 * - a flag of the file system: a row of SUPERBLOCK, and its MS_* in `new-mount.ts`, for options that only mount(2) takes;
 * - a kind of propagation: a row of PROPAGATION;
 * - an option that says how the mount is made: a word of STRUCTURAL and a field of MountOptions. `requests.ts` refuses it on mounts that
 *   can't have it, and `mounts.ts` acts on it.
 *
 * Any other word is data for the file system. `options.test.ts` shows the parsed option, `spec-tests/mounts/` the mount in a container.
 * `features` lists the option by itself. `spec-tests/completeness/` fails until a title or a row of `mounts.ts` there names a test of it.
 */

/** A flag of one mount: config.md, "Linux mount options". */
interface MountFlag {
  /** The option that sets it. mountinfo shows the flag by this name. */
  readonly set: string;
  /** The option that clears it. An option undoes an earlier one of the same flag. */
  readonly clear: string;
  /** MOUNT_ATTR_*, for mount_setattr(2) and fsmount(2). */
  readonly attribute: number;
  /** MS_*, for mount(2). */
  readonly msFlag: number;
}

export const MOUNT_FLAGS: readonly MountFlag[] = [
  { set: "ro", clear: "rw", attribute: MOUNT_ATTR_RDONLY, msFlag: MS_RDONLY },
  { set: "nosuid", clear: "suid", attribute: MOUNT_ATTR_NOSUID, msFlag: MS_NOSUID },
  { set: "nodev", clear: "dev", attribute: MOUNT_ATTR_NODEV, msFlag: MS_NODEV },
  { set: "noexec", clear: "exec", attribute: MOUNT_ATTR_NOEXEC, msFlag: MS_NOEXEC },
  { set: "nosymfollow", clear: "symfollow", attribute: MOUNT_ATTR_NOSYMFOLLOW, msFlag: MS_NOSYMFOLLOW },
];

/** The bits of the mount's flags that an option sets, and those that it clears. */
type AttributeChange = readonly [set: number, clear: number];

/** Options for access times, a field of several values. `relatime` is its zero value. */
const ACCESS_TIMES: Readonly<Record<string, AttributeChange>> = {
  atime: [0, MOUNT_ATTR_NOATIME],
  diratime: [0, MOUNT_ATTR_NODIRATIME],
  noatime: [MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME],
  nodiratime: [MOUNT_ATTR_NODIRATIME, 0],
  norelatime: [0, 0],
  nostrictatime: [0, MOUNT_ATTR_STRICTATIME],
  relatime: [0, MOUNT_ATTR__ATIME],
  strictatime: [MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME],
};

/** The change that an option makes to the flags of its mount. undefined for an option that is not a flag of the mount. */
function attributeChange(option: string): AttributeChange | undefined {
  for (const { set, clear, attribute } of MOUNT_FLAGS) {
    if (option === set) return [attribute, 0];
    if (option === clear) return [0, attribute];
  }
  return rowOf(ACCESS_TIMES, option);
}

/** Flags of the file system itself: the option that sets it and, where there is one, the option that clears it. */
const SUPERBLOCK: Readonly<Record<string, { readonly flag: string; readonly set: boolean }>> = {
  async: { flag: "sync", set: false },
  dirsync: { flag: "dirsync", set: true },
  iversion: { flag: "iversion", set: true },
  lazytime: { flag: "lazytime", set: true },
  mand: { flag: "mand", set: true },
  noiversion: { flag: "iversion", set: false },
  nolazytime: { flag: "lazytime", set: false },
  nomand: { flag: "mand", set: false },
  ro: { flag: "ro", set: true },
  rw: { flag: "ro", set: false },
  sync: { flag: "sync", set: true },
};

/** MS_SILENT only affects the kernel's log messages; fsconfig(2) has no such flag. */
const SILENCE = new Set(["loud", "silent"]);

/** Words without effect: config.md gives "defaults" none. */
const WITHOUT_EFFECT = new Set(["defaults", "loud", "silent"]);

const PROPAGATION: Readonly<Record<string, number>> = {
  private: MS_PRIVATE,
  shared: MS_SHARED,
  slave: MS_SLAVE,
  unbindable: MS_UNBINDABLE,
};

export interface Propagation {
  readonly type: number;
  readonly recursive: boolean;
}

export interface MountOptions {
  readonly bind: boolean;
  /** `rbind`: binds the submounts of the source as well. */
  readonly recursiveBind: boolean;
  readonly remount: boolean;
  readonly tmpcopyup: boolean;
  /** crun's `copy-symlink`: if the source is a symbolic link, makes the same link at the destination and mounts nothing. */
  readonly copySymlink: boolean;
  /** crun's `src-nofollow`: if the source is a symbolic link, mounts the link itself, not its target. */
  readonly sourceNoFollow: boolean;
  /** crun's `dest-nofollow`: if the destination is a symbolic link, mounts over the link itself, not over its target. */
  readonly destinationNoFollow: boolean;
  readonly attributes: { readonly set: number; readonly clear: number };
  /** Whether an option sets or clears a non-recursive flag of mount(2). */
  readonly hasExplicitFlags: boolean;
  readonly recursiveAttributes: { readonly set: number; readonly clear: number };
  /** In the order given. */
  readonly propagation: readonly Propagation[];
  /** Names of file system flags to set: `ro`, `sync`, … */
  readonly superblockFlags: readonly string[];
  /** All other words: options of the file system, in the order given. */
  readonly data: readonly string[];
}

class AttributeBits {
  set = 0;
  clear = 0;

  apply([set, clear]: AttributeChange): void {
    this.set = (this.set & ~clear) | set;
    // mount_setattr(2) changes the access time field as a whole or not at all. So `atime` only undoes an earlier `noatime`.
    const whole = (clear & MOUNT_ATTR__ATIME) === MOUNT_ATTR__ATIME;
    this.clear |= whole ? clear : clear & ~MOUNT_ATTR__ATIME;
  }
}

/**
 * The change that an option with the prefix `r` makes to the mount and all mounts below it: mount_setattr(2) with AT_RECURSIVE.
 * For a single mount `atime` only undoes an earlier `noatime`. The mounts of a tree have their own flags, so there it has to change them:
 * to relatime, the kernel's default, which is neither noatime nor strictatime.
 */
function recursiveChange(word: string): AttributeChange | undefined {
  if (!word.startsWith("r")) return undefined;
  const option = word.slice(1);
  if (option === "atime" || option === "nostrictatime") return [0, MOUNT_ATTR__ATIME];
  return attributeChange(option);
}

/** A row of a table. Own properties only: an option may be called `constructor`, which every object inherits. */
function rowOf<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Parses a propagation word such as `rslave`. */
export function parsePropagation(word: string): Propagation | undefined {
  const own = rowOf(PROPAGATION, word);
  if (own !== undefined) return { type: own, recursive: false };
  const all = word.startsWith("r") ? rowOf(PROPAGATION, word.slice(1)) : undefined;
  return all === undefined ? undefined : { type: all, recursive: true };
}

/**
 * Splits all options into words. A word that shares its string with others (`alone` is false) is part of mount(2)'s data: there the kernel
 * knows only the flags and the options of the file system, and for a bind mount it ignores the data.
 */
function splitOptions(options: readonly string[], type: string): { word: string; alone: boolean }[] {
  const words: { word: string; alone: boolean }[] = [];
  for (const option of options) {
    if (isIdMapOption(option)) continue;
    for (const word of dataWords(option, type)) words.push({ word, alone: word === option });
  }
  return words;
}

/** Parses the options of a mount. The file system's `type` decides which characters separate its options. */
export function parseMountOptions(options: readonly string[], type = ""): MountOptions {
  const attributes = new AttributeBits();
  const recursiveAttributes = new AttributeBits();
  const propagation: Propagation[] = [];
  const superblock = new Set<string>();
  const data: string[] = [];
  const words = new Set(options);
  const bind = words.has("bind") || words.has("rbind");
  let hasExplicitFlags = false;
  for (const { word, alone } of splitOptions(options, type)) {
    const flag = alone || !bind ? rowOf(SUPERBLOCK, word) : undefined;
    const own = alone || flag !== undefined ? attributeChange(word) : undefined;
    const propagationOption = alone ? parsePropagation(word) : undefined;
    if (own !== undefined) attributes.apply(own);
    if (flag?.set === true) superblock.add(flag.flag);
    if (flag?.set === false) superblock.delete(flag.flag);
    const isFlag = own !== undefined || flag !== undefined;
    hasExplicitFlags ||= isFlag || (alone && SILENCE.has(word));
    if (isFlag) continue;
    const recursive = alone ? recursiveChange(word) : undefined;
    if (recursive !== undefined) recursiveAttributes.apply(recursive);
    else if (propagationOption !== undefined) propagation.push(propagationOption);
    // podman writes empty words, which mount(2) skips in its data but fsconfig(2) refuses.
    else if (word !== "" && !(alone && (WITHOUT_EFFECT.has(word) || STRUCTURAL.has(word)))) data.push(word);
  }
  return {
    bind,
    recursiveBind: words.has("rbind"),
    remount: words.has("remount"),
    tmpcopyup: words.has("tmpcopyup"),
    copySymlink: words.has("copy-symlink"),
    sourceNoFollow: words.has("src-nofollow"),
    destinationNoFollow: words.has("dest-nofollow"),
    attributes,
    hasExplicitFlags,
    recursiveAttributes,
    propagation,
    superblockFlags: [...superblock],
    data,
  };
}

/**
 * The flags to change of a bind mount, which starts with those of its source. If any option names a flag, all flags that no option names are
 * cleared, as in runc. Access times are an exception: the source's stay until an option names one.
 */
export function bindAttributes({ attributes, hasExplicitFlags }: MountOptions): MountOptions["attributes"] {
  if (!hasExplicitFlags) return attributes;
  const { set, clear } = attributes;
  const setsTimes = (clear & MOUNT_ATTR__ATIME) !== 0 || (set & MOUNT_ATTR_NODIRATIME) !== 0;
  const times = setsTimes ? MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME : 0;
  const all = MOUNT_FLAGS.reduce((bits, { attribute }) => bits | attribute, 0);
  return { set, clear: clear | (all & ~set) | times };
}

/** All words that this file knows, for `features`. Its schema allows no hyphens, so crun's options for links are left out. */
export function knownMountOptions(): string[] {
  const propagation = Object.keys(PROPAGATION);
  const flags = [...MOUNT_FLAGS.flatMap(({ set, clear }) => [set, clear]), ...Object.keys(ACCESS_TIMES)];
  const words = [
    ...flags,
    ...flags.map((word) => `r${word}`),
    ...Object.keys(SUPERBLOCK),
    ...WITHOUT_EFFECT,
    ...propagation,
    ...propagation.map((word) => `r${word}`),
    ...STRUCTURAL,
  ];
  return [...new Set(words)].filter((word) => !word.includes("-")).sort();
}

/** Options that say how the mount is made, and are not flags. */
const STRUCTURAL = new Set([
  "bind",
  "copy-symlink",
  "dest-nofollow",
  "idmap",
  "rbind",
  "remount",
  "ridmap",
  "src-nofollow",
  "tmpcopyup",
]);
