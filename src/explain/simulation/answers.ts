import { nulTerminatedBytes } from "../../../bindings/abi/byte-text.ts";
import {
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFREG,
  S_IFSOCK,
  STATX_BASIC_STATS,
} from "../../../bindings/abi/fcntl.ts";
import { dirent64, open_how, statfs, statx } from "../../../bindings/abi/layouts.ts";
import type { SyscallName } from "../../../bindings/ffi/syscall.ts";
import { CGROUP2_SUPER_MAGIC } from "../../cgroup/files.ts";
import type { FileKind, VirtualFile } from "./virtual-files.ts";

/** Encodes answers of the simulated kernel. */

/** Copies at most `length` bytes of a file from an offset on; returns how many it has copied. */
export function copyPart(
  file: VirtualFile | undefined,
  offset: number,
  buffer: Uint8Array,
  length: number,
): number {
  const part = Buffer.from(file?.content ?? "", "latin1").subarray(offset, offset + length);
  buffer.set(part);
  return part.length;
}

/** The content of cgroup.subtree_control after a write such as `+pids -io`. */
export function enabled(before: string, change: string): string {
  const names = new Set(before.trim().split(" ").filter(Boolean));
  for (const word of change.trim().split(" ")) {
    if (word.startsWith("+")) names.add(word.slice(1));
    else names.delete(word.slice(1));
  }
  return `${[...names].join(" ")}\n`;
}

const KINDS: Readonly<Record<FileKind, number>> = {
  directory: S_IFDIR | 0o755,
  file: S_IFREG | 0o644,
  socket: S_IFSOCK | 0o600,
  link: S_IFLNK | 0o777,
  device: S_IFCHR | 0o666,
};

const S_IFMT = 0o170000;

/** Fills in `struct statx`, with an inode number that is made of the path. Some descriptors have no file: they seem to be regular files. */
export function fillStatus(
  buffer: Uint8Array,
  {
    file,
    path,
    owner,
  }: { readonly file: VirtualFile | undefined; readonly path: string; readonly owner: number },
): void {
  const view = new DataView(buffer.buffer, buffer.byteOffset);
  view.setUint32(statx.stx_mask, STATX_BASIC_STATS, true);
  const usual = KINDS[file?.kind ?? "file"];
  view.setUint16(statx.stx_mode, file?.mode === undefined ? usual : (usual & S_IFMT) | file.mode, true);
  view.setUint32(statx.stx_uid, owner, true);
  if (file?.kind === "device") {
    const [major = 0, minor = 0] = file.content.split(":").map(Number);
    view.setUint32(statx.stx_rdev_major, major, true);
    view.setUint32(statx.stx_rdev_minor, minor, true);
  }
  view.setBigUint64(statx.stx_size, BigInt(file?.content.length ?? 0), true);
  let hash = 7n;
  for (let at = 0; at < path.length; at++)
    hash = (hash * 31n + BigInt(path.charCodeAt(at))) & 0xffffffffffffn;
  view.setBigUint64(statx.stx_ino, hash, true);
}

/** d_type of readdir(3). */
const TYPES: Readonly<Record<FileKind, number>> = { device: 2, directory: 4, file: 8, link: 10, socket: 12 };

/** Writes entries of a directory as getdents64(2) does; returns their length in bytes. */
export function copyEntries(
  entries: readonly { readonly name: string; readonly kind: FileKind }[],
  buffer: Uint8Array,
): number {
  const view = new DataView(buffer.buffer, buffer.byteOffset);
  let at = 0;
  for (const { name, kind } of entries) {
    const bytes = nulTerminatedBytes(name);
    const length = (dirent64.d_name + bytes.length + 7) & ~7;
    view.setUint16(at + dirent64.d_reclen, length, true);
    view.setUint8(at + dirent64.d_type, TYPES[kind]);
    buffer.set(bytes, at + dirent64.d_name);
    at += length;
  }
  return at;
}

/** Makes `struct statfs` that of a cgroup2 mount; returns whether it was that before. */
export function becomeCgroup2(buffer: Uint8Array): boolean {
  const view = new DataView(buffer.buffer, buffer.byteOffset);
  const was = Number(view.getBigUint64(statfs.f_type, true)) === CGROUP2_SUPER_MAGIC;
  view.setBigUint64(statfs.f_type, BigInt(CGROUP2_SUPER_MAGIC), true);
  return was;
}

/** The O_* flags in `struct open_how` of openat2(2). */
export function flagsOf(how: Uint8Array): number {
  return Number(new DataView(how.buffer, how.byteOffset).getBigUint64(open_how.flags, true));
}

/** Writes a number of 32 bits, as all stand-ins are; returns the length of the buffer. */
export function fillNumber(buffer: Uint8Array, number: number): number {
  new DataView(buffer.buffer, buffer.byteOffset).setUint32(0, number, true);
  return buffer.length;
}

/** Sets POLLIN in `revents`, the last two bytes of a `struct pollfd`, for each descriptor that is ready. Returns how many are. */
export function makeReadable(entries: Uint8Array, isReady: (fd: number) => boolean = () => true): number {
  const view = new DataView(entries.buffer, entries.byteOffset);
  let count = 0;
  for (let at = 0; at < entries.length; at += 8) {
    if (!isReady(view.getInt32(at, true))) continue;
    entries[at + 6] = 1;
    count += 1;
  }
  return count;
}

/** Calls that affect only the calling process or a stub, and are not reported. */
export const SIDE_EFFECT_FREE = new Set<SyscallName>([
  "flock",
  "socket",
  "setsockopt",
  "pipe2",
  "rt_sigaction",
  "rt_sigprocmask",
  "setns",
  "signalfd4",
  "waitid",
]);

/**
 * Calls that the real kernel answers: they only tell about the calling process, or change the capabilities of the calling thread, which
 * looks at the host with fewer rights for a moment.
 */
export const OF_CALLER = new Set<SyscallName>([
  "capget",
  "capset",
  "getcwd",
  "getegid",
  "geteuid",
  "getgid",
  "getpid",
  "getuid",
  // The runtime only asks for the version: rulesets are made by init.
  "landlock_create_ruleset",
  "uname",
]);

/** Calls whose result is a new descriptor. */
export const DESCRIPTOR_RESULTS = new Set<SyscallName>([
  "eventfd2",
  "open_tree",
  "pidfd_getfd",
  "signalfd4",
  "socket",
]);
