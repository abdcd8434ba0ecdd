import { AT_EMPTY_PATH, O_NONBLOCK, O_RDONLY, STATX_BASIC_STATS } from "../../bindings/abi/fcntl.ts";
import { statx } from "../../bindings/abi/layouts.ts";
import { cString, syscall } from "../../bindings/ffi/syscall.ts";
import { closeSync, openSync, readFileSync } from "../../bindings/linux/files.ts";
import type { ImageHead, MappedFile } from "./image.ts";

// Conditions that an image depends on.

/** Changes with each boot: random(4). */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}

/** AT_HWCAP, AT_HWCAP2 and AT_MINSIGSTKSZ, by which the kernel describes the processor to each program: getauxval(3). */
const PROCESSOR_VALUES = [16n, 26n, 51n];

/** The values in a process's auxiliary vector. All processes on a machine have the same. */
export function processorWords(pid: number | "self"): ImageHead["processor"] {
  const bytes = readFileSync(`/proc/${pid}/auxv`);
  const values = new Map<bigint, bigint>();
  for (let at = 0; at + 16 <= bytes.length; at += 16)
    values.set(bytes.readBigUInt64LE(at), bytes.readBigUInt64LE(at + 8));
  const [first = 0n, second = 0n, third = 0n] = PROCESSOR_VALUES.map((number) => values.get(number));
  return [first, second, third];
}

/** Device, inode, size and modification time, to tell whether a path still leads to the same file. The file has to be readable. */
export function fileIdentity(path: string): MappedFile["identity"] {
  const fd = openSync(path, O_RDONLY | O_NONBLOCK);
  try {
    const buffer = Buffer.alloc(statx.size);
    syscall("statx", [fd, cString(""), AT_EMPTY_PATH, STATX_BASIC_STATS, buffer], [path]);
    const word = (offset: number) => buffer.readBigUInt64LE(offset);
    return [
      word(statx.stx_dev_major),
      word(statx.stx_ino),
      word(statx.stx_size),
      word(statx.stx_mtime),
      BigInt(buffer.readUInt32LE(statx.stx_mtime + 8)),
    ];
  } finally {
    closeSync(fd);
  }
}
