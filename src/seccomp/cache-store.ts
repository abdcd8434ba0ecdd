import { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } from "../../bindings/abi/fcntl.ts";
import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { mkdirSync, readdirSync } from "../../bindings/linux/directories.ts";
import { lstatSync } from "../../bindings/linux/file-status.ts";
import {
  closeSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "../../bindings/linux/files.ts";
import { randomNumber } from "../../bindings/linux/random.ts";
import { errorCode } from "../errors.ts";
import { type CacheKey, identityOf, LINKER_CACHE, openFolder } from "./cache.ts";
import { encodeEntry, MAX_ENTRY_BYTES } from "./cache-entry.ts";
import type { CompiledSeccomp } from "./compile.ts";

/** Enough for engines, which have few profiles. A user may have a profile per container. */
const MAX_FILES = 64;
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * Stores a compiled filter in the cache. It is written to a temporary file and renamed, so that readers see all of it or nothing. Throws
 * if it can't be stored, and leaves nothing behind then.
 */
export function storeFilter(
  directory: string,
  key: CacheKey,
  compiled: CompiledSeccomp,
  warnings: readonly string[],
): void {
  const library = mappedLibrary();
  const bytes = encodeEntry(key.bytes, {
    ...compiled,
    warnings,
    library,
    libraryIdentity: identityOf(library),
    linkerIdentity: identityOf(LINKER_CACHE),
  });
  if (bytes.length > MAX_ENTRY_BYTES) throw new Error(`the profile is too large: ${bytes.length} bytes`);
  withPurpose("/linux/seccomp", "store the compiled filter for later containers", () => {
    makeDirectory(directory);
    const folder = openFolder(directory);
    try {
      // By the descriptor, so that the directory written to is the one that was checked.
      const path = `/proc/self/fd/${folder}`;
      writeAtomically(path, key.name, bytes);
      evict(path);
    } finally {
      closeSync(folder);
    }
  });
}

/** Path of the libseccomp that this process has loaded. */
function mappedLibrary(): string {
  const [path] = readFileSync("/proc/self/maps", "utf8").match(/\/\S*\/libseccomp\.so\S*$/m) ?? [];
  if (path === undefined) throw new Error("it is not known which libseccomp was loaded");
  return path;
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
  }
}

function writeAtomically(folder: string, name: string, bytes: Uint8Array): void {
  const temporary = `${folder}/new-${randomNumber().toString(36)}`;
  const fd = openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    try {
      for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, `${folder}/${name}`);
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  }
}

/** Removes the oldest files, unfinished ones too, until the rest is within the limits. */
function evict(folder: string): void {
  const files = readdirSync(folder).flatMap((name) => {
    const path = `${folder}/${name}`;
    const status = lstatSync(path, { throwIfNoEntry: false });
    return status === undefined ? [] : [{ path, size: status.size, time: status.mtimeNs }];
  });
  files.sort((one, other) => (one.time > other.time ? -1 : 1));
  let bytes = 0;
  for (const [index, { path, size }] of files.entries()) {
    bytes += size;
    if (index >= MAX_FILES || bytes > MAX_BYTES) tryUnlink(path);
  }
}

/** Ignores errors: another process may have removed the file, and a directory is not ours. */
function tryUnlink(path: string): void {
  try {
    unlinkSync(path);
  } catch {}
}
