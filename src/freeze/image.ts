/**
 * The format of an image: a head of 64-bit words, its tables, the paths of the mapped files, then the pages. bindings/launcher/thaw.h
 * declares the same as C structures.
 */

/** "runts" and the version of the format. */
const MAGIC = 0x0173746e7572n;
/** Space for the head with its tables and paths, in bytes: MAX_HEAD of thaw.h. */
export const HEAD_SPACE = 32 * 1024;
const MAX_FILES = 24;
const BOOT_ID_WORDS = 5;
const CHECKSUM_AT = 16;

/** A file that the engine has mapped. */
export interface MappedFile {
  /** A file name without a directory is in the launcher's directory. */
  readonly path: string;
  /** Device, inode, size, and the modification time in seconds and nanoseconds: statx(2). */
  readonly identity: readonly [bigint, bigint, bigint, bigint, bigint];
}

/** One mmap(2) of the image, of a file by its index in the table, or of anonymous memory. */
export interface Segment {
  readonly address: number;
  /** In bytes, as is the offset. */
  readonly length: number;
  readonly offset: number;
  readonly protection: number;
  readonly source: number | "image" | "anonymous";
}

/** A part of a segment, with its final protection. */
export interface Sealed {
  readonly address: number;
  readonly length: number;
  readonly protection: number;
}

/** A descriptor of the engine's event loop. */
export type LoopDescriptor =
  | { readonly kind: "epoll" | "eventfd"; readonly fd: number }
  | {
      readonly kind: "entry";
      readonly fd: number;
      readonly target: number;
      readonly events: number;
      readonly data: bigint;
    };

/** The engine's action for a signal, in the words of rt_sigaction(2): handler, flags, restorer and mask. */
export interface SignalAction {
  readonly signal: number;
  readonly words: readonly bigint[];
}

export interface Registers {
  readonly rbx: bigint;
  readonly rbp: bigint;
  readonly r12: bigint;
  readonly r13: bigint;
  readonly r14: bigint;
  readonly r15: bigint;
  readonly rsp: bigint;
  readonly rip: bigint;
  readonly fsBase: bigint;
}

/** The kernel's state of a thread: addresses, or 0 for none. */
export interface ThreadState {
  readonly tid: bigint;
  readonly robustList: bigint;
  readonly robustListSize: bigint;
  readonly rseq: bigint;
  readonly rseqSize: bigint;
  readonly rseqSignature: bigint;
  /** struct stack_t of sigaltstack(2). */
  readonly signalStack: readonly [bigint, bigint, bigint];
}

export interface ImageHead {
  readonly imageSize: number;
  /** Modification time of the image, in whole seconds since 1970. */
  readonly modified: number;
  readonly bootId: string;
  /** AT_HWCAP, AT_HWCAP2, AT_MINSIGSTKSZ: getauxval(3). */
  readonly processor: readonly [bigint, bigint, bigint];
  /** The vdso's address; 0 if there is none. */
  readonly vdso: bigint;
  readonly registers: Registers;
  /** Address and size of the buffer of the read(2) in which the engine waits. */
  readonly buffer: readonly [bigint, bigint];
  readonly thread: ThreadState;
  readonly files: readonly MappedFile[];
  readonly segments: readonly Segment[];
  readonly descriptors: readonly LoopDescriptor[];
  readonly signals: readonly SignalAction[];
  /** Addresses of words that point into the vdso. */
  readonly vdsoWords: readonly number[];
  /** Parts that become read-only again once those words are written. */
  readonly sealed: readonly Sealed[];
}

/** The conditions for using an image, read back from its head. */
export type ImageConditions = Pick<
  ImageHead,
  "imageSize" | "modified" | "bootId" | "processor" | "files" | "descriptors"
>;

const SOURCE_IMAGE = -1;
const SOURCE_ANONYMOUS = -2;
const KINDS = ["epoll", "eventfd", "entry"] as const;

/** Throws if the head is larger than the launcher accepts. */
export function encodeHead(head: ImageHead): Uint8Array {
  if (head.files.length > MAX_FILES) throw new Error(`${head.files.length} files are mapped`);
  const words: bigint[] = [
    MAGIC,
    0n, // size of the head, below
    0n, // checksum, below
    BigInt(head.imageSize),
    BigInt(head.modified),
    0n, // nanoseconds
    ...wordsOf(head.bootId, BOOT_ID_WORDS),
    ...head.processor,
    head.vdso,
    ...registerWords(head.registers),
    ...head.buffer,
    ...threadWords(head.thread),
  ];
  const tables = [head.files, head.segments, head.descriptors, head.signals, head.vdsoWords, head.sealed];
  words.push(...tables.map((table) => BigInt(table.length)));
  const fileWords = 6;
  const rest = [
    ...head.segments.flatMap(segmentWords),
    ...head.descriptors.flatMap(descriptorWords),
    ...head.signals.flatMap(({ signal, words: action }) => [BigInt(signal), ...action]),
    ...head.vdsoWords.map(BigInt),
    ...head.sealed.flatMap(({ address, length, protection }) => [
      BigInt(address),
      BigInt(length),
      BigInt(protection),
    ]),
  ];
  let pathAt = (words.length + head.files.length * fileWords + rest.length) * 8;
  const paths: Uint8Array[] = [];
  for (const { path, identity } of head.files) {
    words.push(...identity, BigInt(pathAt));
    const text = Buffer.from(`${path}\0`);
    paths.push(text);
    pathAt += text.length;
  }
  words.push(...rest);
  const size = Math.ceil(pathAt / 8) * 8;
  if (size > HEAD_SPACE) throw new Error(`the head of the image takes ${size} bytes`);
  words[1] = BigInt(size);
  const bytes = Buffer.alloc(size);
  words.forEach((word, index) => {
    bytes.writeBigUInt64LE(BigInt.asUintN(64, word), index * 8);
  });
  Buffer.concat(paths).copy(bytes, words.length * 8);
  bytes.writeBigUInt64LE(checksumOf(bytes), CHECKSUM_AT);
  return bytes;
}

/** FNV-1a over 64-bit words, with the word of the checksum itself as 0. */
function checksumOf(bytes: Buffer): bigint {
  let sum = 0xcbf29ce484222325n;
  for (let at = 0; at < bytes.length; at += 8) {
    const word = at === CHECKSUM_AT ? 0n : bytes.readBigUInt64LE(at);
    sum = BigInt.asUintN(64, (sum ^ word) * 0x100000001b3n);
  }
  return sum;
}

function wordsOf(text: string, count: number): bigint[] {
  const bytes = Buffer.alloc(count * 8);
  bytes.write(text, "latin1");
  return Array.from({ length: count }, (_, index) => bytes.readBigUInt64LE(index * 8));
}

function registerWords({ rbx, rbp, r12, r13, r14, r15, rsp, rip, fsBase }: Registers): bigint[] {
  return [rbx, rbp, r12, r13, r14, r15, rsp, rip, fsBase];
}

function threadWords(thread: ThreadState): bigint[] {
  const { tid, robustList, robustListSize, rseq, rseqSize, rseqSignature, signalStack } = thread;
  return [tid, robustList, robustListSize, rseq, rseqSize, rseqSignature, ...signalStack];
}

function segmentWords({ address, length, offset, protection, source }: Segment): bigint[] {
  const from = source === "image" ? SOURCE_IMAGE : source === "anonymous" ? SOURCE_ANONYMOUS : source;
  return [BigInt(address), BigInt(length), BigInt(offset), twoHalves(protection, from)];
}

function descriptorWords(entry: LoopDescriptor): bigint[] {
  const kind = KINDS.indexOf(entry.kind);
  if (entry.kind !== "entry") return [twoHalves(kind, entry.fd), 0n, 0n];
  return [twoHalves(kind, entry.fd), twoHalves(entry.target, entry.events), entry.data];
}

/** Two 32-bit numbers in one word, the first in the lower half. */
function twoHalves(first: number, second: number): bigint {
  return (BigInt.asUintN(32, BigInt(second)) << 32n) | BigInt.asUintN(32, BigInt(first));
}

/** Indexes of the head's words that are read back. */
const AT = {
  headSize: 1,
  imageSize: 3,
  modified: 4,
  modifiedNanoseconds: 5,
  bootId: 6,
  processor: 11,
  counts: 35,
} as const;
const TABLES = 6;
const FILE_WORDS = 6;
const SEGMENT_WORDS = 4;
const DESCRIPTOR_WORDS = 3;

/** Undefined if the bytes are damaged or not an image of this version. */
export function decodeConditions(bytes: Buffer): ImageConditions | undefined {
  const word = (index: number) => bytes.readBigUInt64LE(index * 8);
  const number = (index: number) => Number(word(index));
  if (bytes.length < (AT.counts + TABLES) * 8 || word(0) !== MAGIC) return undefined;
  const size = number(AT.headSize);
  if (
    size > bytes.length ||
    size % 8 !== 0 ||
    checksumOf(bytes.subarray(0, size)) !== bytes.readBigUInt64LE(CHECKSUM_AT)
  )
    return undefined;
  const [fileCount, segmentCount, descriptorCount] = [0, 1, 2].map((index) => number(AT.counts + index));
  const filesAt = AT.counts + TABLES;
  const descriptorsAt = filesAt + (fileCount ?? 0) * FILE_WORDS + (segmentCount ?? 0) * SEGMENT_WORDS;
  return {
    imageSize: number(AT.imageSize),
    modified: word(AT.modifiedNanoseconds) === 0n ? number(AT.modified) : -1,
    bootId: textAt(bytes, AT.bootId * 8),
    processor: [word(AT.processor), word(AT.processor + 1), word(AT.processor + 2)],
    files: Array.from({ length: fileCount ?? 0 }, (_, index) => {
      const at = filesAt + index * FILE_WORDS;
      return {
        identity: [word(at), word(at + 1), word(at + 2), word(at + 3), word(at + 4)],
        path: textAt(bytes, number(at + 5)),
      };
    }),
    descriptors: Array.from({ length: descriptorCount ?? 0 }, (_, index) =>
      createdDescriptor(bytes, (descriptorsAt + index * DESCRIPTOR_WORDS) * 8),
    ).filter((entry) => entry !== undefined),
  };
}

function createdDescriptor(bytes: Buffer, at: number): LoopDescriptor | undefined {
  const kind = KINDS[bytes.readUInt32LE(at)];
  return kind === "epoll" || kind === "eventfd" ? { kind, fd: bytes.readUInt32LE(at + 4) } : undefined;
}

/** The text up to the next NUL. */
function textAt(bytes: Buffer, at: number): string {
  return bytes.toString("utf8", at, bytes.indexOf(0, at));
}
