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
 * A cache of compiled filters, for the next container with the same profile: loading libseccomp and compiling an engine's default profile
 * takes a quarter of the time of `create`.
 *
 * The files are below the state root, in a directory that only the runtime's user can access. Whoever can write there can also change
 * state.json, which says what is executed as root; nobody else can make the runtime use a filter from there. A file that is not exactly
 * as this program writes it is ignored, and the filter is compiled again.
 */

/** Can't be a container's directory, as no id contains this character. */
const DIRECTORY = "@seccomp";
/** To be incremented when the meaning of a file changes. */
const FORMAT = 1;
/** The file by which ld.so(8) finds libraries. */
export const LINKER_CACHE = "/etc/ld.so.cache";

export interface CacheKey {
  /** Everything that the filter depends on, except libseccomp. */
  readonly bytes: Uint8Array;
  /** Name of the file. */
  readonly name: string;
}

export function cacheDirectory(root: string): string {
  return `${root}/${DIRECTORY}`;
}

/**
 * The key consists of the whole property except the agent, on which the filter doesn't depend; of this program's file; and of the
 * kernel, which libseccomp asks for the actions that it knows. The identity of libseccomp is in the file instead, as it is not known
 * before it is loaded.
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

/** JSON.stringify throws for a bigint, so none can be forgotten here. */
function withoutBigints({ value, valueTwo, ...rest }: NonNullable<SeccompRule["args"]>[number]): object {
  return { ...rest, value: String(value), valueTwo: String(valueTwo) };
}

type SeccompRule = NonNullable<Seccomp["syscalls"]>[number];

/** The filter for the key; undefined if there is none, or one that can't be trusted. */
export function findFilter(directory: string, key: CacheKey): CacheEntry | undefined {
  let folder: number | undefined;
  try {
    folder = openFolder(directory);
    const entry = decodeEntry(readEntry(folder, key.name), key.bytes);
    return entry !== undefined && isCurrent(entry) ? entry : undefined;
  } catch {
    // It is missing, unreadable or not our file. In any case, the filter has to be compiled.
    return undefined;
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
}

/** Opens a directory with O_PATH. Throws unless it belongs to the caller's user and nobody else has access to it. */
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

/** Whether libseccomp is the same file as before, and would still be found there. */
function isCurrent({ library, libraryIdentity, linkerIdentity }: CacheEntry): boolean {
  return libraryIdentity === identityOf(library) && linkerIdentity === identityOf(LINKER_CACHE);
}

/** FileStatus.identity of a file; empty if it does not exist. */
export function identityOf(path: string): string {
  return statSync(path, { throwIfNoEntry: false })?.identity ?? "";
}
