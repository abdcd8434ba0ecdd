import { shownName } from "../abi/c-string.ts";
import {
  AT_FDCWD,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_PATH,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
} from "../abi/fcntl.ts";
import { PATH_MAX } from "../abi/limits.ts";
import { cString } from "../ffi/syscall.ts";
import { FileError, fileCall } from "./file-call.ts";

/**
 * Files, with the familiar names, arguments and errors of node:fs. All calls go through `trySyscall`, where `explain`, `--profile` and the
 * fault build can see them; they can't see calls of node:fs.
 */

/** Mode bits of access(2). */
export const W_OK = 2;
export const X_OK = 1;

const FLAGS = {
  r: O_RDONLY,
  a: O_WRONLY | O_CREAT | O_APPEND,
  w: O_WRONLY | O_CREAT | O_TRUNC,
  wx: O_WRONLY | O_CREAT | O_EXCL,
} as const;

/** open(2). The descriptor is always close-on-exec. */
export function openSync(
  path: string | Uint8Array,
  flags: keyof typeof FLAGS | number,
  mode = 0o666,
): number {
  const bits = typeof flags === "number" ? flags : FLAGS[flags];
  const attempt = { operation: "open", path: shownName(path) };
  return fileCall(attempt, "openat", AT_FDCWD, cString(path), bits | O_CLOEXEC, mode);
}

/** close(2) */
export function closeSync(fd: number): void {
  fileCall({ operation: "close" }, "close", fd);
}

/** read(2), or pread(2) if there is a position. Returns the number of bytes, 0 at the end. */
export function readSync(
  fd: number,
  buffer: Uint8Array,
  offset = 0,
  length = buffer.length - offset,
  position?: number,
): number {
  const target = buffer.subarray(offset, offset + length);
  const attempt = { operation: "read" };
  return position === undefined
    ? fileCall(attempt, "read", fd, target, length)
    : fileCall(attempt, "pread64", fd, target, length, position);
}

/** write(2). Returns the number of bytes written, which may be fewer than given. A text is always written from its start to its end. */
export function writeSync(fd: number, data: string | Uint8Array, offset = 0, length?: number): number {
  const bytes = typeof data === "string" ? encoded(data) : data;
  const part = bytes.subarray(offset, length === undefined ? undefined : offset + length);
  return fileCall({ operation: "write" }, "write", fd, part, part.length);
}

/** pwrite(2) of a text; the descriptor's offset stays. Returns the number of bytes. */
export function pwriteSync(fd: number, text: string, position: number): number {
  const bytes = encoded(text);
  return fileCall({ operation: "write" }, "pwrite64", fd, bytes, bytes.length, position);
}

/** UTF-8 of a text, without the engine's encoders, which are compiled at their first use. */
function encoded(text: string): Uint8Array {
  return cString(text).subarray(0, -1);
}

const FIRST_CAPACITY = 16 * 1024;

let space: Buffer | undefined;

/** Reused buffer for one file or link at a time: allocating one costs more than the read. */
function readingSpace(): Buffer {
  space ??= Buffer.allocUnsafe(FIRST_CAPACITY);
  return space;
}

/** Reads a whole file, or a descriptor from its offset to the end: as bytes, or as text of an encoding. */
export function readFileSync(file: string | number): Buffer;
export function readFileSync(file: string | number, encoding: "utf8" | "latin1"): string;
export function readFileSync(file: string | number, encoding?: "utf8" | "latin1"): Buffer | string {
  const fd = typeof file === "number" ? file : openSync(file, O_RDONLY);
  try {
    const { buffer, length } = readAll(fd, readingSpace());
    if (encoding !== undefined) return buffer.toString(encoding, 0, length);
    const bytes = Buffer.allocUnsafe(length);
    buffer.copy(bytes, 0, 0, length);
    return bytes;
  } finally {
    if (typeof file === "string") closeSync(fd);
  }
}

/** Reads to the end into `given`, or into a larger buffer if that is too small: files of procfs don't report their size. */
function readAll(fd: number, given: Buffer): { readonly buffer: Buffer; readonly length: number } {
  let buffer = given;
  let length = 0;
  for (;;) {
    const count = readSync(fd, buffer, length);
    if (count === 0) return { buffer, length };
    length += count;
    if (length < buffer.length) continue;
    const larger = Buffer.allocUnsafe(2 * buffer.length);
    larger.set(buffer);
    buffer = larger;
  }
}

/** Writes a whole file: truncates it, or creates it with the mode. */
export function writeFileSync(
  path: string,
  data: string | Uint8Array,
  options: { readonly mode?: number; readonly flag?: "w" | "wx" } = {},
): void {
  const fd = openSync(path, options.flag ?? "w", options.mode);
  try {
    const bytes = typeof data === "string" ? encoded(data) : data;
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
  } finally {
    closeSync(fd);
  }
}

/** rename(2) */
export function renameSync(from: string, to: string): void {
  const attempt = { operation: "rename", path: from };
  fileCall(attempt, "renameat2", AT_FDCWD, cString(from), AT_FDCWD, cString(to), 0);
}

/** unlink(2) */
export function unlinkSync(path: string): void {
  fileCall({ operation: "unlink", path }, "unlinkat", AT_FDCWD, cString(path), 0);
}

/** chmod(2) */
export function chmodSync(path: string, mode: number): void {
  fileCall({ operation: "chmod", path }, "fchmodat", AT_FDCWD, cString(path), mode);
}

/** chown(2), which follows symbolic links. */
export function chownSync(path: string, uid: number, gid: number): void {
  fileCall({ operation: "chown", path }, "fchownat", AT_FDCWD, cString(path), uid, gid, 0);
}

/** readlink(2) */
export function readlinkSync(path: string): string {
  return readlinkAt(AT_FDCWD, path);
}

/** Target of a symbolic link that was opened itself, with O_PATH and O_NOFOLLOW. readlinkat(2) */
export function freadlinkSync(fd: number): string {
  return readlinkAt(fd, "");
}

function readlinkAt(directory: number, path: string): string {
  const buffer = readingSpace();
  const attempt = { operation: "readlink", path };
  const length = fileCall(attempt, "readlinkat", directory, cString(path), buffer, PATH_MAX);
  return buffer.toString("utf8", 0, length);
}

/** The absolute path of an existing file, without symbolic links, as the kernel reports it for an open descriptor. */
export function realpathSync(path: string): string {
  const fd = openSync(path, O_PATH);
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

/** access(2): checks with the real user ID, not the effective one. */
export function accessSync(path: string, mode: number): void {
  fileCall({ operation: "access", path }, "faccessat", AT_FDCWD, cString(path), mode);
}

/** Errors of access(2) for a path without a file that the caller can reach. */
const ABSENT: readonly string[] = ["ENOENT", "ENOTDIR", "EACCES", "ENAMETOOLONG", "ELOOP"];

/** Whether access(2) finds a file at the path. Unlike node:fs's, throws if that can't be told, such as after EIO. */
export function existsSync(path: string): boolean {
  try {
    accessSync(path, 0);
    return true;
  } catch (error) {
    if (error instanceof FileError && ABSENT.includes(error.code)) return false;
    throw error;
  }
}
