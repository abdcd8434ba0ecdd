import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_STATX_DONT_SYNC,
  AT_SYMLINK_NOFOLLOW,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  STATX_ATTR_MOUNT_ROOT,
  STATX_BASIC_STATS,
  STATX_TYPE,
} from "../abi/fcntl.ts";
import { statfs, statx } from "../abi/layouts.ts";
import { cString } from "../ffi/syscall.ts";
import { FileError, fileCall } from "./file-call.ts";

/** Status of a file from statx(2), with those fields of node:fs's Stats that runts needs. */
export class FileStatus {
  readonly #buffer: Buffer;
  readonly #bytes: DataView;

  constructor(bytes: Buffer) {
    this.#buffer = bytes;
    this.#bytes = new DataView(bytes.buffer, bytes.byteOffset);
  }

  get mode(): number {
    return this.#bytes.getUint16(statx.stx_mode, true);
  }

  get uid(): number {
    return this.#bytes.getUint32(statx.stx_uid, true);
  }

  get gid(): number {
    return this.#bytes.getUint32(statx.stx_gid, true);
  }

  get size(): number {
    return Number(this.#bytes.getBigUint64(statx.stx_size, true));
  }

  /** Exact up to 2^53. Larger inode numbers, as some network file systems have, lose their last bits. */
  get ino(): number {
    return Number(this.#bytes.getBigUint64(statx.stx_ino, true));
  }

  /** Device of the file system, as makedev(3) encodes it. */
  get dev(): number {
    return device(this.#bytes, statx.stx_dev_major);
  }

  /** Device that a device node stands for. */
  get rdev(): number {
    return device(this.#bytes, statx.stx_rdev_major);
  }

  /** Major and minor number of the device that a device node stands for. */
  get deviceNumbers(): { readonly major: number; readonly minor: number } {
    const { stx_rdev_major, stx_rdev_minor } = statx;
    return {
      major: this.#bytes.getUint32(stx_rdev_major, true),
      minor: this.#bytes.getUint32(stx_rdev_minor, true),
    };
  }

  /** Time of the last modification, in nanoseconds since 1970. */
  get mtimeNs(): bigint {
    const nanoseconds = this.#bytes.getUint32(statx.stx_mtime + 8, true);
    return this.#bytes.getBigInt64(statx.stx_mtime, true) * 1_000_000_000n + BigInt(nanoseconds);
  }

  /** A text that changes if a path leads to another file, or if the file's contents, owner or mode change. */
  get identity(): string {
    const hex = (from: number, to: number) => this.#buffer.toString("hex", from, to);
    const { stx_uid, stx_size, stx_ctime, stx_mtime, stx_dev_major } = statx;
    return [
      hex(stx_dev_major, stx_dev_major + 8),
      hex(stx_uid, stx_size + 8),
      hex(stx_ctime, stx_mtime + 16),
    ].join();
  }

  isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR;
  }

  isFile(): boolean {
    return (this.mode & S_IFMT) === S_IFREG;
  }

  isCharacterDevice(): boolean {
    return (this.mode & S_IFMT) === S_IFCHR;
  }

  isBlockDevice(): boolean {
    return (this.mode & S_IFMT) === S_IFBLK;
  }

  isFIFO(): boolean {
    return (this.mode & S_IFMT) === S_IFIFO;
  }

  isSymbolicLink(): boolean {
    return (this.mode & S_IFMT) === S_IFLNK;
  }
}

/** Device from a major number and the minor number behind it. */
function device(bytes: DataView, offset: number): number {
  const major = bytes.getUint32(offset, true);
  const minor = bytes.getUint32(offset + 4, true);
  return (major & 0xfff) * 0x100 + (minor & 0xff) + Math.floor(minor / 0x100) * 0x100000;
}

interface MayBeMissing {
  readonly throwIfNoEntry: false;
}

/** stat(2). With throwIfNoEntry false, returns undefined for a missing file. */
export function statSync(path: string): FileStatus;
export function statSync(path: string, options: MayBeMissing): FileStatus | undefined;
export function statSync(path: string, options?: MayBeMissing): FileStatus | undefined {
  return statusAt("stat", path, 0, options);
}

/** lstat(2): does not follow a symbolic link. */
export function lstatSync(path: string): FileStatus;
export function lstatSync(path: string, options: MayBeMissing): FileStatus | undefined;
export function lstatSync(path: string, options?: MayBeMissing): FileStatus | undefined {
  return statusAt("lstat", path, AT_SYMLINK_NOFOLLOW, options);
}

function statusAt(operation: string, path: string, flags: number, options?: MayBeMissing) {
  const bytes = Buffer.allocUnsafe(statx.size);
  try {
    fileCall({ operation, path }, "statx", AT_FDCWD, cString(path), flags, STATX_BASIC_STATS, bytes);
  } catch (error) {
    const isMissing = error instanceof FileError && error.code === "ENOENT";
    if (options === undefined || !isMissing) throw error;
    return undefined;
  }
  return new FileStatus(bytes);
}

/** fstat(2) */
export function fstatSync(fd: number): FileStatus {
  const bytes = Buffer.allocUnsafe(statx.size);
  const empty = new Uint8Array(1);
  fileCall({ operation: "fstat" }, "statx", fd, empty, AT_EMPTY_PATH, STATX_BASIC_STATS, bytes);
  return new FileStatus(bytes);
}

/** The file type as the kernel has it cached, without asking a file system that may never answer. statx(2), AT_STATX_DONT_SYNC */
export function knownStatus(fd: number): FileStatus {
  const bytes = Buffer.allocUnsafe(statx.size);
  const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  fileCall({ operation: "fstat" }, "statx", fd, new Uint8Array(1), flags, STATX_TYPE, bytes);
  return new FileStatus(bytes);
}

/** Whether an open file is the root of its mount. Asks for no field that its file system would have to answer. */
export function isMountRoot(fd: number): boolean {
  const bytes = new Uint8Array(statx.size);
  fileCall({ operation: "fstat" }, "statx", fd, new Uint8Array(1), AT_EMPTY_PATH, 0, bytes);
  const attributes = new DataView(bytes.buffer).getBigUint64(statx.stx_attributes, true);
  return (attributes & BigInt(STATX_ATTR_MOUNT_ROOT)) !== 0n;
}

/** statfs(2): the magic number of the file system's type. */
export function statfsSync(path: string): { readonly type: number } {
  const bytes = new Uint8Array(statfs.size);
  fileCall({ operation: "statfs", path }, "statfs", cString(path), bytes);
  return { type: Number(new DataView(bytes.buffer).getBigUint64(statfs.f_type, true)) };
}
