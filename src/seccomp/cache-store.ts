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

/** An engine has one profile or a few; each container of a user with profiles of his own may have another one. */
const MAX_FILES = 64;
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * Keeps a filter that has just been compiled: written beside and renamed, so that readers see all of a file or none. Throws where it
 * can't be kept, after which nothing of it is left.
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
  withPurpose("/linux/seccomp", "keep the compiled filter for later containers", () => {
    makeDirectory(directory);
    const folder = openFolder(directory);
    try {
      // By the descriptor: what was checked is what is written to.
      const path = `/proc/self/fd/${folder}`;
      writeAtomically(path, key.name, bytes);
      evict(path);
    } finally {
      closeSync(folder);
    }
  });
}

/** The libseccomp that this process has loaded. */
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

/** Removes what was written longest ago, be it unfinished, while there is more than there may be. */
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

/** Another process may have been faster, and a directory is nothing that was written here. */
function tryUnlink(path: string): void {
  try {
    unlinkSync(path);
  } catch {}
}
