import { nulTerminated } from "../../bindings/abi/c-string.ts";
import {
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
} from "../../bindings/abi/fcntl.ts";
import { hash64 } from "../../bindings/ffi/hash.ts";
import { type FileStatus, fstatSync, statSync } from "../../bindings/linux/file-status.ts";
import { closeSync, openSync, readSync } from "../../bindings/linux/files.ts";
import { kernelBuild } from "../../bindings/linux/kernel.ts";
import { openBeneath } from "../../bindings/linux/open-beneath.ts";
import { effectiveUid } from "../../bindings/linux/own-process.ts";
import type { Seccomp } from "../spec/types.ts";
import { type CacheEntry, decodeEntry, MAX_ENTRY_BYTES } from "./cache-entry.ts";

/**
 * Compiled filters, for the next container with the same profile: to load libseccomp and to compile an engine's default profile takes
 * a quarter of what a container takes.
 *
 * They are below the state root, in a directory that only the user of the runtime can look into. Whoever can write there can
 * change state.json as well, which says what is executed as root; nobody else can make the runtime take a filter from there. What
 * is not exactly as this program leaves it is not read, and the filter is compiled anew.
 */

/** What is no container's directory, since no id has this character. */
const DIRECTORY = "@seccomp";
/** Goes up with each change of what a file means. */
const FORMAT = 1;
/** What ld.so(8) finds libraries by. */
export const LINKER_CACHE = "/etc/ld.so.cache";

export interface CacheKey {
  /** All that decides the bytes of a filter. */
  readonly bytes: Uint8Array;
  /** Name of the file. */
  readonly name: string;
}

export function cacheDirectory(root: string): string {
  return `${root}/${DIRECTORY}`;
}

/**
 * The whole property but for the agent, on which the filter doesn't depend; this program, by its file; and the kernel, which
 * libseccomp asks for the actions that it knows. Which libseccomp it was is in the file, as it is not known before it is loaded.
 */
export function cacheKey(seccomp: Seccomp, program = statSync("/proc/self/exe").identity): CacheKey {
  const profile = { ...seccomp, listenerPath: undefined, listenerMetadata: undefined };
  const syscalls = seccomp.syscalls?.map((rule) =>
    rule.args === undefined ? rule : { ...rule, args: rule.args.map(withoutBigints) },
  );
  const text = [FORMAT, program, kernelBuild(), JSON.stringify({ ...profile, syscalls })].join("\n");
  const bytes = nulTerminated(text);
  return { bytes, name: hash64(bytes).toString(16).padStart(16, "0") };
}

/** JSON.stringify refuses them, so that none is forgotten here. */
function withoutBigints({ value, valueTwo, ...rest }: NonNullable<SeccompRule["args"]>[number]): object {
  return { ...rest, value: String(value), valueTwo: String(valueTwo) };
}

type SeccompRule = NonNullable<Seccomp["syscalls"]>[number];

/** The filter for the key; undefined if there is none, or if there is any doubt about it. */
export function findFilter(directory: string, key: CacheKey): CacheEntry | undefined {
  let folder: number | undefined;
  try {
    folder = openFolder(directory);
    const entry = decodeEntry(readEntry(folder, key.name), key.bytes);
    return entry !== undefined && isCurrent(entry) ? entry : undefined;
  } catch {
    // It is not there, not readable, or no file of ours: all of it means to compile.
    return undefined;
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
}

/** Throws unless it is a directory that nobody but the caller has access to. */
export function openFolder(directory: string): number {
  const fd = openSync(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (isOwn(fstatSync(fd))) return fd;
  closeSync(fd);
  throw new Error(`others than user ${effectiveUid()} have access to ${directory}`);
}

function readEntry(folder: number, name: string): Buffer {
  // O_NONBLOCK: opening a fifo must not wait for its writer.
  const fd = openBeneath(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  try {
    const status = fstatSync(fd);
    const { size } = status;
    if (!status.isFile() || !isOwn(status) || size > MAX_ENTRY_BYTES) throw new Error(`${name} is not ours`);
    const bytes = Buffer.allocUnsafe(size);
    if (readSync(fd, bytes) !== size) throw new Error(`${name} is being changed`);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

function isOwn({ uid, mode }: FileStatus): boolean {
  return uid === effectiveUid() && (mode & 0o077) === 0;
}

/** Whether libseccomp is what it was, and would be found where it was. */
function isCurrent({ library, libraryIdentity, linkerIdentity }: CacheEntry): boolean {
  return libraryIdentity === identityOf(library) && linkerIdentity === identityOf(LINKER_CACHE);
}

/** Empty for what isn't there. */
export function identityOf(path: string): string {
  return statSync(path, { throwIfNoEntry: false })?.identity ?? "";
}
