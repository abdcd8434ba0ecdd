import { AT_FDCWD, AT_REMOVEDIR, O_DIRECTORY, O_RDONLY } from "../abi/fcntl.ts";
import { dirent64 } from "../abi/layouts.ts";
import { cString } from "../ffi/syscall.ts";
import { FileError, fileCall } from "./file-call.ts";
import { lstatSync, statSync } from "./file-status.ts";
import { closeSync, openSync, unlinkSync } from "./files.ts";

/** Directories, as files.ts beside this file has files. */

/** mkdir(2). With `recursive` also what is missing above, and no error for one that is there. */
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

/** rmdir(2) */
export function rmdirSync(path: string): void {
  fileCall({ operation: "rmdir", path }, "unlinkat", AT_FDCWD, cString(path), AT_REMOVEDIR);
}

/** Names of what is in a directory, in no order. */
export function readdirSync(path: string): string[] {
  return entries(path).map(({ name }) => name);
}

/** Names of the directories in a directory, where the file system tells what is one: those of the kernel do. */
export function subdirectories(path: string): string[] {
  const DT_DIR = 4;
  return entries(path)
    .filter(({ type }) => type === DT_DIR)
    .map(({ name }) => name);
}

/** getdents64(2), without the directory itself and the one above. */
function entries(path: string): { readonly name: string; readonly type: number }[] {
  const fd = openSync(path, O_RDONLY | O_DIRECTORY);
  try {
    const found: { name: string; type: number }[] = [];
    const buffer = Buffer.allocUnsafe(32 * 1024);
    for (;;) {
      const length = fileCall({ operation: "scandir", path }, "getdents64", fd, buffer, buffer.length);
      if (length === 0) return found;
      for (let at = 0; at < length; at += buffer.readUInt16LE(at + dirent64.d_reclen)) {
        const start = at + dirent64.d_name;
        const name = buffer.toString("utf8", start, buffer.indexOf(0, start));
        if (name !== "." && name !== "..") found.push({ name, type: buffer.readUInt8(at + dirent64.d_type) });
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** Removes a file; with `recursive` also a directory and all in it. With `force` one that isn't there is no error. */
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
    else removeDirectory(path, options);
  } catch (error) {
    // Somebody else was faster.
    if (!(options.force === true && error instanceof FileError && error.code === "ENOENT")) throw error;
  }
}

function removeDirectory(
  path: string,
  options: { readonly recursive?: boolean; readonly force?: boolean },
): void {
  for (const name of readdirSync(path)) rmSync(`${path}/${name}`, options);
  rmdirSync(path);
}
