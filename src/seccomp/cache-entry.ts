import { hash64 } from "../../bindings/ffi/hash.ts";
import type { CompiledSeccomp } from "./compile.ts";

/**
 * The format of a cached filter:
 *
 *     0   u64  checksum of all that follows
 *     8   u32  length of the key, in bytes
 *     12  u32  length of the notes, in bytes
 *     16       the key, the notes (JSON), the filter
 *
 * File names are hashes of the key. The file contains the whole key, which is compared, so that profiles whose hashes collide can't get
 * each other's filter.
 */
const KEY_LENGTH = 8;
const NOTES_LENGTH = 12;
const HEADER = 16;

/** Larger entries are neither written nor read. A filter has at most 32 KiB, and most profiles have 10. */
export const MAX_ENTRY_BYTES = 256 * 1024;
/** BPF_MAXINSNS (linux/bpf_common.h) instructions of 8 bytes. */
const MAX_FILTER_BYTES = 4096 * 8;

/** The result of `compileSeccomp`, and what it depends on besides the key. */
export interface CacheEntry extends CompiledSeccomp {
  /** The warnings of the compilation. */
  readonly warnings: readonly string[];
  /** Path of the libseccomp that compiled it. */
  readonly library: string;
  /** FileStatus.identity of that library, and of the file by which ld.so(8) finds it. */
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

/** Undefined for anything but the result of `encodeEntry` for this key. */
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
