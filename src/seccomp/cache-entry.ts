import { hash64 } from "../../bindings/ffi/hash.ts";
import type { CompiledSeccomp } from "./compile.ts";

/**
 * A compiled filter as a file:
 *
 *     0   u64  checksum of all that follows
 *     8   u32  bytes of the key
 *     12  u32  bytes of the notes
 *     16       the key, the notes (JSON), the filter
 *
 * The key is there whole and compared whole, so that no two profiles whose file names, which are hashes, are the same can get each
 * other's filter.
 */
const KEY_LENGTH = 8;
const NOTES_LENGTH = 12;
const HEADER = 16;

/** The largest that is kept, and read: the filter has at most 32 KiB, most profiles 10. */
export const MAX_ENTRY_BYTES = 256 * 1024;
/** BPF_MAXINSNS (linux/bpf_common.h) instructions of 8 bytes. */
const MAX_FILTER_BYTES = 4096 * 8;

/** What `compileSeccomp` has found, and what else it depends on. */
export interface CacheEntry extends CompiledSeccomp {
  /** What the compilation had to say. */
  readonly warnings: readonly string[];
  /** Path of the libseccomp that compiled it. */
  readonly library: string;
  /** That library as a file, and what decides where the next one would be looked for: FileStatus.identity. */
  readonly libraryIdentity: string;
  readonly linkerIdentity: string;
}

export function encodeEntry(key: Uint8Array, { filter, ...notes }: CacheEntry): Uint8Array {
  const text = Buffer.from(JSON.stringify(notes));
  const bytes = Buffer.alloc(HEADER + key.length + text.length + filter.length);
  bytes.writeUInt32LE(key.length, KEY_LENGTH);
  bytes.writeUInt32LE(text.length, NOTES_LENGTH);
  bytes.set(key, HEADER);
  bytes.set(text, HEADER + key.length);
  bytes.set(filter, HEADER + key.length + text.length);
  bytes.writeBigUInt64LE(hash64(bytes.subarray(KEY_LENGTH)), 0);
  return bytes;
}

/** Undefined for anything but what `encodeEntry` has made for this key. */
export function decodeEntry(bytes: Buffer, key: Uint8Array): CacheEntry | undefined {
  if (bytes.length < HEADER || bytes.readUInt32LE(KEY_LENGTH) !== key.length) return undefined;
  if (bytes.readBigUInt64LE(0) !== hash64(bytes.subarray(KEY_LENGTH))) return undefined;
  const notesAt = HEADER + key.length;
  const filterAt = notesAt + bytes.readUInt32LE(NOTES_LENGTH);
  const filter = bytes.subarray(filterAt);
  if (filter.length === 0 || filter.length % 8 !== 0 || filter.length > MAX_FILTER_BYTES) return undefined;
  if (Buffer.compare(bytes.subarray(HEADER, notesAt), key) !== 0) return undefined;
  return { ...JSON.parse(bytes.toString("utf8", notesAt, filterAt)), filter };
}
