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
 * Files, with the names, the arguments and the errors of node:fs, so that a reader knows them. All calls go through `trySyscall`, so
 * that `explain`, `profile` and the fault build have them: none of those sees what node:fs does.
 */

/** Bits of access(2). */
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

/** read(2), or pread(2) from a position. Returns the number of bytes, 0 at the end. */
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

/** write(2) of bytes, of which fewer may be written, or of a whole text. Returns the number of bytes. */
export function writeSync(fd: number, data: string | Uint8Array, offset = 0, length?: number): number {
  const bytes = typeof data === "string" ? encoded(data) : data;
  const part = bytes.subarray(offset, length === undefined ? undefined : offset + length);
  return fileCall({ operation: "write" }, "write", fd, part, part.length);
}

/** pwrite(2) of a text, which leaves the descriptor's offset as it is. Returns the number of bytes. */
export function pwriteSync(fd: number, text: string, position: number): number {
  const bytes = encoded(text);
  return fileCall({ operation: "write" }, "pwrite64", fd, bytes, bytes.length, position);
}

/** UTF-8, without the engine's encoders: those are compiled at their first use. */
function encoded(text: string): Uint8Array {
  return cString(text).subarray(0, -1);
}

const FIRST_CAPACITY = 16 * 1024;

let space: Buffer | undefined;

/** What is read comes here first, one file or link at a time: fresh memory for each costs more than to read it. */
function readingSpace(): Buffer {
  space ??= Buffer.allocUnsafe(FIRST_CAPACITY);
  return space;
}

/** The whole of a file, or of what a descriptor has from its offset on: bytes, or text in an encoding. */
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

/** Up to the end, which files of procfs don't tell beforehand: into a buffer, or a larger one where that is too small. */
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

/** Writes a whole file: made with the mode, if it isn't there, and emptied before. */
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

/** chown(2): follows a symbolic link. */
export function chownSync(path: string, uid: number, gid: number): void {
  fileCall({ operation: "chown", path }, "fchownat", AT_FDCWD, cString(path), uid, gid, 0);
}

/** readlink(2) */
export function readlinkSync(path: string): string {
  return readlinkAt(AT_FDCWD, path);
}

/** Of a symbolic link that is open itself, by O_PATH and O_NOFOLLOW. readlinkat(2) */
export function freadlinkSync(fd: number): string {
  return readlinkAt(fd, "");
}

function readlinkAt(directory: number, path: string): string {
  const buffer = readingSpace();
  const attempt = { operation: "readlink", path };
  const length = fileCall(attempt, "readlinkat", directory, cString(path), buffer, PATH_MAX);
  return buffer.toString("utf8", 0, length);
}

/** The absolute path of what is there, without symbolic links: as the kernel names what it has opened. */
export function realpathSync(path: string): string {
  const fd = openSync(path, O_PATH);
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

/** access(2), which asks for the real user. */
export function accessSync(path: string, mode: number): void {
  fileCall({ operation: "access", path }, "faccessat", AT_FDCWD, cString(path), mode);
}

/** What access(2) says of a path where nothing is to be found. */
const ABSENT: readonly string[] = ["ENOENT", "ENOTDIR", "EACCES", "ENAMETOOLONG", "ELOOP"];

/** Whether access(2) finds something at the path. Unlike that of node:fs it throws where that can't be told. */
export function existsSync(path: string): boolean {
  try {
    accessSync(path, 0);
    return true;
  } catch (error) {
    if (error instanceof FileError && ABSENT.includes(error.code)) return false;
    throw error;
  }
}
