import { shownName } from "../abi/c-string.ts";
import { AT_FDCWD, AT_REMOVEDIR, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_RDONLY } from "../abi/fcntl.ts";
import { dirent64 } from "../abi/layouts.ts";
import { cString } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";
import { FileError, fileCall } from "./file-call.ts";
import { fstatSync, lstatSync, statSync } from "./file-status.ts";
import { closeSync, openSync, unlinkSync } from "./files.ts";
import { openBeneath } from "./open-beneath.ts";

/** Directories, with the names, arguments and errors of node:fs, as in files.ts. */

/** mkdir(2). With `recursive`, also makes missing parents, and takes an existing directory without an error. */
export function mkdirSync(
  path: string,
  options: { readonly mode?: number; readonly recursive?: boolean } = {},
): void {
  const { mode = 0o777, recursive = false } = options;
  try {
    fileCall({ operation: "mkdir", path }, "mkdirat", AT_FDCWD, cString(path), mode);
  } catch (error) {
    if (!recursive || !(error instanceof FileError)) throw error;
    if (error.code === "EEXIST" && isDirectory(path)) return;
    const parent = path.replace(/\/+[^/]*\/*$/, "");
    if (error.code !== "ENOENT" || parent === "" || parent === path) throw error;
    mkdirSync(parent, options);
    mkdirSync(path, options);
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** rmdir(2) of a path, or of a name in an open directory. */
export function rmdirSync(path: string | Uint8Array, directory: number = AT_FDCWD): void {
  removeAt(directory, path, "rmdir", AT_REMOVEDIR);
}

function removeAt(directory: number, path: string | Uint8Array, operation: string, flags: number): void {
  fileCall({ operation, path: shownName(path) }, "unlinkat", directory, cString(path), flags);
}

/** Names of the entries of a directory, in no particular order. */
export function readdirSync(path: string): string[] {
  const fd = openSync(path, O_RDONLY | O_DIRECTORY);
  try {
    return entries(fd).map(({ name }) => name.toString("utf8"));
  } finally {
    closeSync(fd);
  }
}

/** Names of the subdirectories of an open directory. The file system has to report d_type, as the kernel's own ones do. */
export function subdirectories(directory: number): Buffer[] {
  const DT_DIR = 4;
  return entries(directory)
    .filter(({ type }) => type === DT_DIR)
    .map(({ name }) => name);
}

/** getdents64(2), without `.` and `..`. A directory that was removed meanwhile has no entries. */
function entries(fd: number): { readonly name: Buffer; readonly type: number }[] {
  const found: { name: Buffer; type: number }[] = [];
  const buffer = Buffer.allocUnsafe(32 * 1024);
  for (;;) {
    const length = readEntries(fd, buffer);
    if (length === 0) return found;
    for (let at = 0; at < length; at += buffer.readUInt16LE(at + dirent64.d_reclen)) {
      const start = at + dirent64.d_name;
      const end = buffer.indexOf(0, start);
      if (buffer[start] === DOT && (end === start + 1 || (end === start + 2 && buffer[start + 1] === DOT)))
        continue;
      // A copy, so that a name kept during a long walk doesn't keep the whole buffer.
      const name = Buffer.allocUnsafe(end - start);
      buffer.copy(name, 0, start, end);
      found.push({ name, type: buffer.readUInt8(at + dirent64.d_type) });
    }
  }
}

const DOT = 0x2e;

function readEntries(fd: number, buffer: Buffer): number {
  try {
    return fileCall({ operation: "scandir" }, "getdents64", fd, buffer, buffer.length);
  } catch (error) {
    if (error instanceof FileError && error.code === "ENOENT") return 0;
    throw error;
  }
}

/** Actions on each directory of a tree. */
export interface TreeVisitor {
  /** Called in each directory; returns the names of its subdirectories to enter. */
  enter(directory: number): readonly Buffer[];
  /** Called in the parent after a subdirectory and everything below it. */
  leave?(directory: number, name: Buffer): void;
}

/** A directory above the current one of a walk. */
interface Passed {
  /** Name of the subdirectory that was entered from here. */
  readonly name: Buffer;
  /** Device and inode number of this directory. */
  readonly identity: string;
  /** Names still to be entered, last first. */
  readonly rest: Buffer[];
}

/**
 * Walks a directory and everything below it. The tree may be hostile. So names are bytes, no path is used, whose length the kernel limits, and
 * neither the stack nor the number of open descriptors grows with the depth. Others may change the tree meanwhile: entries that are gone or
 * that something is mounted on are skipped, symbolic links are not followed, and `..` has to lead back to the parent, since a directory can
 * be moved. Throws FileError ESTALE if it doesn't.
 */
export function walkTree(path: string, visitor: TreeVisitor): void {
  const passed: Passed[] = [];
  let current = openSync(path, LISTED | O_NOFOLLOW);
  const goTo = (directory: number): void => {
    const last = current;
    current = directory;
    closeSync(last);
  };
  try {
    let rest = toEnter(visitor, current);
    for (;;) {
      const name = rest.pop();
      if (name !== undefined) {
        const below = openDirectory(current, name);
        if (below === undefined) continue;
        passed.push({ name, identity: identityOf(current), rest });
        goTo(below);
        rest = toEnter(visitor, current);
        continue;
      }
      const above = passed.pop();
      if (above === undefined) return;
      goTo(fileCall({ operation: "open", path: ".." }, "openat", current, cString(".."), LISTED, 0));
      if (identityOf(current) !== above.identity)
        throw new FileError("ESTALE", "open", shownName(above.name));
      visitor.leave?.(current, above.name);
      rest = above.rest;
    }
  } finally {
    closeSync(current);
  }
}

const LISTED = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

function toEnter(visitor: TreeVisitor, directory: number): Buffer[] {
  return [...visitor.enter(directory)].reverse();
}

/** undefined for a directory that is gone or that something is mounted on. */
function openDirectory(parent: number, name: Buffer): number | undefined {
  try {
    return openBeneath(parent, name, LISTED);
  } catch (error) {
    if (error instanceof SyscallError && (error.errno === "ENOENT" || error.errno === "EXDEV"))
      return undefined;
    throw error;
  }
}

function identityOf(directory: number): string {
  const { dev, ino } = fstatSync(directory);
  return `${dev} ${ino}`;
}

/** Removes a file; with `recursive`, also a directory and everything in it. With `force` a missing one is not an error. */
export function rmSync(
  path: string,
  options: { readonly recursive?: boolean; readonly force?: boolean } = {},
): void {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) {
    if (options.force === true) return;
    throw new FileError("ENOENT", "rm", path);
  }
  try {
    if (!status.isDirectory()) unlinkSync(path);
    else if (options.recursive !== true) throw new FileError("EISDIR", "rm", path);
    else removeDirectory(path);
  } catch (error) {
    // Somebody else has removed it meanwhile.
    if (!(options.force === true && error instanceof FileError && error.code === "ENOENT")) throw error;
  }
}

function removeDirectory(path: string): void {
  walkTree(path, {
    enter: (directory) =>
      entries(directory)
        .map(({ name }) => name)
        .filter((name) => !unlinkAt(directory, name)),
    leave: (directory, name) => ifThere(() => rmdirSync(name, directory)),
  });
  rmdirSync(path);
}

/** Removes a file; returns false for a directory, which stays. */
function unlinkAt(directory: number, name: Buffer): boolean {
  try {
    ifThere(() => removeAt(directory, name, "unlink", 0));
    return true;
  } catch (error) {
    if (error instanceof FileError && error.code === "EISDIR") return false;
    throw error;
  }
}

function ifThere(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof FileError && error.code === "ENOENT")) throw error;
  }
}
