import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { targets } from "./targets.test-support.ts";

/** Indexes of words in struct image of thaw.h. */
const AT = {
  magic: 0,
  headSize: 1,
  checksum: 2,
  size: 3,
  mtime: 4,
  mtimeNanoseconds: 5,
  bootId: 6,
  hwcap: 11,
  hwcap2: 12,
  minsigstksz: 13,
  vdso: 14,
  rip: 22,
  buffer: 24,
  bufferSize: 25,
  tid: 26,
  robust: 27,
  robustSize: 28,
  files: 35,
  segments: 36,
  descriptors: 37,
  signals: 38,
  vdsoWords: 39,
  sealed: 40,
  /** The only file: device, inode, size, both parts of the time, and the offset of its path. */
  file: 41,
  path: 46,
  /** The only segment: address, length, offset, and protection with source. */
  segment: 47,
  source: 50,
  text: 51,
} as const;

const MAGIC = 0x0173746e7572n;
const HEAD_SIZE = 53 * 8;
const NAME = "runts-engine";
const SECONDS = 1_000_000_000;

/** Memory of the made-up engine: any free address. */
const ADDRESS = 0x1000_0000n;
const LENGTH = 0x1_0000n;
const READ_WRITE_OF_NOTHING = (0xffff_fffen << 32n) | 3n;

const low = (word: bigint) => BigInt.asUintN(64, word);

/** FNV-1a over words, with the checksum field taken as 0. */
function checksumOf(words: BigUint64Array): bigint {
  const place = (word: bigint, index: number) => (index === AT.checksum ? 0n : word);
  return words.reduce(
    (sum, word, index) => low((sum ^ place(word, index)) * 0x100000001b3n),
    0xcbf29ce484222325n,
  );
}

function auxiliaryValues(): Map<bigint, bigint> {
  const bytes = readFileSync("/proc/self/auxv");
  const words = Array.from({ length: bytes.length / 8 }, (_, index) => bytes.readBigUInt64LE(index * 8));
  return new Map(words.flatMap((word, index) => (index % 2 === 0 ? [[word, words[index + 1] ?? 0n]] : [])));
}

/** An image without pages, of an engine that continues at address 0: a launcher that takes it is killed by a signal. */
function wholeImage(engine: string): BigUint64Array {
  const words = new BigUint64Array(HEAD_SIZE / 8);
  const bytes = Buffer.from(words.buffer);
  const auxiliary = auxiliaryValues();
  words[AT.magic] = MAGIC;
  words[AT.headSize] = BigInt(HEAD_SIZE);
  words[AT.size] = BigInt(HEAD_SIZE);
  words[AT.mtime] = BigInt(SECONDS);
  bytes.write(readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim(), AT.bootId * 8);
  [AT.hwcap, AT.hwcap2, AT.minsigstksz].forEach((at, index) => {
    words[at] = auxiliary.get([16n, 26n, 51n][index] ?? 0n) ?? 0n;
  });
  words[AT.vdso] = auxiliary.has(33n) ? 1n : 0n;
  words[AT.buffer] = ADDRESS;
  words[AT.bufferSize] = LENGTH / 2n;
  words[AT.tid] = words[AT.robust] = ADDRESS + LENGTH / 2n;
  words[AT.robustSize] = 24n;
  words[AT.files] = words[AT.segments] = 1n;
  const { dev, ino, size, mtimeNs } = statSync(engine, { bigint: true });
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  const times = [mtimeNs / 1_000_000_000n, mtimeNs % 1_000_000_000n];
  words.set([((dev >> 8n) & 0xfffn) | (minor << 32n), ino, size, ...times, BigInt(AT.text * 8)], AT.file);
  words.set([ADDRESS, LENGTH, 0n, READ_WRITE_OF_NOTHING], AT.segment);
  bytes.write(NAME, AT.text * 8);
  return words;
}

type Change = (words: BigUint64Array, bytes: Buffer) => void;
const set =
  (place: number, word: bigint): Change =>
  (words) => {
    words[place] = low(word);
  };

/** Changes of the head, with a right checksum, that make the image unusable. */
const UNFIT: readonly (readonly [string, Change])[] = [
  ["another magic number", set(AT.magic, MAGIC + (1n << 48n))],
  ["another size", set(AT.size, BigInt(HEAD_SIZE + 8))],
  ["another time", set(AT.mtime, BigInt(SECONDS + 1))],
  ["another fraction of a second", set(AT.mtimeNanoseconds, 1n)],
  ["another boot", set(AT.bootId, 0n)],
  ["another processor", set(AT.hwcap, 1n)],
  ["other features of the processor", set(AT.hwcap2, 1n << 62n)],
  ["larger signal frames", set(AT.minsigstksz, 1n << 20n)],
  ["no room for the arguments", set(AT.bufferSize, 4n)],
  ["another file", set(AT.file + 1, 1n)],
  ["a file of another time", set(AT.file + 3, 1n)],
  ["a file that is missing", (_words, bytes) => void bytes.write("runts-nothing", AT.text * 8)],
  ["a file at another path", (_words, bytes) => void bytes.write("/runts-engin", AT.text * 8)],
  ["a head of 0 bytes", set(AT.headSize, 0n)],
  ["a head that ends before the tables", set(AT.headSize, BigInt(AT.files * 8))],
  ["a head that is not a multiple of a word", set(AT.headSize, BigInt(HEAD_SIZE - 1))],
  ["a head that is longer than the image", set(AT.headSize, BigInt(HEAD_SIZE + 8))],
  ["a head of a negative size", set(AT.headSize, -8n)],
  ...(["files", "segments", "descriptors", "signals", "vdsoWords", "sealed"] as const).flatMap((table) =>
    [3n, 25n, 1000n, 1n << 32n, 1n << 61n, (1n << 64n) / 48n, -1n].map((count): readonly [string, Change] => [
      `${count} entries in the table ${table}`,
      set(AT[table], count),
    ]),
  ),
  ["a path after the head", set(AT.path, BigInt(HEAD_SIZE))],
  ["a path at a huge offset", set(AT.path, 1n << 40n)],
  ["a path before the head", set(AT.path, -8n)],
  ["a path without a NUL", (_words, bytes) => void bytes.fill("x", AT.text * 8)],
  ["a path that is too long", (_words, bytes) => void bytes.write("runts-engine-x", AT.text * 8)],
  ["a segment of a file that is not in the table", set(AT.source, (1n << 32n) | 3n)],
  ["a segment of no known kind", set(AT.source, (0xffff_fffdn << 32n) | 3n)],
  ["a segment over the launcher's stack", set(AT.segment, 0x7fff_ffff_0000n)],
  ["a segment of the whole address space", set(AT.segment + 1, 1n << 47n)],
];

describe.each(targets)("launcher, images: $name", ({ name, skipReason, emulator, prepare }) => {
  if (skipReason !== false || (name !== "x64" && process.arch !== "x64") || emulator.length > 0) {
    test.skip(`skipped: ${skipReason || "only x86-64 has warm starts"}`, () => {});
    return;
  }
  const directory = mkdtempSync(join(tmpdir(), "runts-launcher-"));
  const engine = join(directory, NAME);
  let launcher = "";
  beforeAll(() => {
    launcher = prepare(directory);
    writeFileSync(engine, "#!/bin/sh\necho cold\n", { mode: 0o755 });
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  function launchWith(image: Uint8Array) {
    const path = join(directory, "runts-warm");
    writeFileSync(path, image, { mode: 0o644 });
    utimesSync(path, SECONDS, SECONDS);
    const { status, stdout, stderr } = spawnSync(launcher, { encoding: "utf8", env: {}, timeout: 20_000 });
    return { status, stdout, stderr };
  }

  function changed(change: Change): Buffer {
    const words = wholeImage(engine);
    const bytes = Buffer.from(words.buffer);
    change(words, bytes);
    words[AT.checksum] = checksumOf(words);
    return bytes;
  }

  const COLD_START = { status: 0, stdout: "cold\n", stderr: "" };

  test("takes an image that fits, and continues at its address", () => {
    const { status, stdout } = launchWith(changed(() => undefined));
    expect([status === 0, stdout]).toEqual([false, ""]);
  });

  test.each(UNFIT)("%s: it starts the engine", (_situation, change) => {
    expect(launchWith(changed(change))).toEqual(COLD_START);
  });

  test("a wrong bit anywhere in the image: it starts the engine", () => {
    const whole = changed(() => undefined);
    for (let at = 0; at < HEAD_SIZE; at += 3) {
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
      expect(launchWith(bytes), `byte ${at}`).toEqual(COLD_START);
    }
  });

  test("an image truncated anywhere: it starts the engine", () => {
    const whole = changed(() => undefined);
    for (let length = 0; length < HEAD_SIZE; length += 7)
      expect(launchWith(whole.subarray(0, length)), `${length} bytes`).toEqual(COLD_START);
  });
});
