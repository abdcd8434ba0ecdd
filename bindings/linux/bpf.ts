import {
  BPF_MAP_CREATE,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  BPF_PROG_LOAD,
  BPF_RAW_TRACEPOINT_OPEN,
} from "../abi/bpf.ts";
import { errnoName } from "../abi/errno.ts";
import { addressOf } from "../ffi/koffi.ts";
import { trySyscall } from "../ffi/syscall.ts";

/** bpf(2). A command takes a part of union bpf_attr, here in 32-bit words. All descriptors that it returns are close-on-exec. */

// Plain stores and no iterators in what the device program needs: that code runs once per process, where the first use of each builtin
// costs more than the work.

const RLIMIT_MEMLOCK = 8;

export class BpfError extends Error {
  /** Such as `load`. */
  readonly action: string;
  readonly errno: string;

  constructor(action: string, errno: string) {
    super(`bpf ${action}: ${errno}`);
    this.action = action;
    this.errno = errno;
  }
}

/** Runs a command, and returns its result. Throws BpfError with the action. */
export function bpf(command: number, words: Uint32Array<ArrayBuffer>, action: string): number {
  const result = trySyscall("bpf", command, new Uint8Array(words.buffer), words.byteLength);
  if (result < 0) throw new BpfError(action, errnoName(-result));
  return result;
}

/** Writes the address of a buffer to two words. The buffer must not be part of a larger one. */
export function setAddress(words: Uint32Array, index: number, buffer: Uint8Array): void {
  const address = addressOf(buffer);
  words[index] = Number(address & 0xffffffffn);
  words[index + 1] = Number(address >> 32n);
}

/**
 * Loads a program of a type (BPF_PROG_TYPE_*) under a licence; some kernel functions are for programs whose licence is compatible with the
 * GPL. Kernels before 5.11 charge it to RLIMIT_MEMLOCK and fail with EPERM. Returns its descriptor.
 */
export function loadProgram(type: number, instructions: Uint8Array<ArrayBuffer>, licence: string): number {
  const text = stableBytes(`${licence}\0`);
  // prog_type, insn_cnt, insns, license, log_level, log_size, log_buf, kern_version, prog_flags
  const load = new Uint32Array(12);
  load[0] = type;
  load[1] = instructions.byteLength / 8;
  setAddress(load, 2, instructions);
  setAddress(load, 4, text);
  try {
    return bpf(BPF_PROG_LOAD, load, "load");
  } catch (error) {
    if (!(error instanceof BpfError) || error.errno !== "EPERM") throw error;
    return withUnlimitedMemlock(() => bpf(BPF_PROG_LOAD, load, "load"));
  }
}

/** Restores the limit afterwards, as the container inherits it. */
function withUnlimitedMemlock<Result>(action: () => Result): Result {
  const old = new Uint8Array(new ArrayBuffer(16));
  const unlimited = new Uint8Array(16).fill(0xff);
  if (trySyscall("prlimit64", 0, RLIMIT_MEMLOCK, unlimited, old) < 0) return action();
  try {
    return action();
  } finally {
    trySyscall("prlimit64", 0, RLIMIT_MEMLOCK, old, null);
  }
}

/** The text in its own buffer, whose address can be given to the kernel. */
function stableBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(text.length));
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}

/** Sizes of a map in bytes. */
export interface MapShape {
  /** BPF_MAP_TYPE_* */
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
}

/** Makes a map, and returns its descriptor. */
export function createMap({ type, keySize, valueSize, maxEntries }: MapShape): number {
  return bpf(BPF_MAP_CREATE, new Uint32Array([type, keySize, valueSize, maxEntries, 0]), "create a map");
}

/** Sets the value of a key. */
export function updateElement(map: number, key: Uint8Array, value: Uint8Array): void {
  bpf(BPF_MAP_UPDATE_ELEM, elementOf(map, key, value), "update a map");
}

/** Reads the value of a key, which must be there, into `value`. */
export function readElement(map: number, key: Uint8Array, value: Uint8Array): void {
  bpf(BPF_MAP_LOOKUP_ELEM, elementOf(map, key, value), "read a map");
}

/** All keys of a map that nobody changes any more. A program that still adds keys may make the list incomplete, or endless without `limit`. */
export function keysOf(map: number, keySize: number, limit: number): Uint8Array[] {
  const keys: Uint8Array[] = [];
  let last: Uint8Array | undefined;
  while (keys.length < limit) {
    const next = new Uint8Array(new ArrayBuffer(keySize));
    const element = elementOf(map, last, next);
    const result = trySyscall(
      "bpf",
      BPF_MAP_GET_NEXT_KEY,
      new Uint8Array(element.buffer),
      element.byteLength,
    );
    if (result < 0 && errnoName(-result) === "ENOENT") break;
    if (result < 0) throw new BpfError("read a map", errnoName(-result));
    keys.push(next);
    last = next;
  }
  return keys;
}

/** map_fd, padding, key, value or next_key, flags. No key stands for the one before the first. */
function elementOf(map: number, key: Uint8Array | undefined, value: Uint8Array): Uint32Array<ArrayBuffer> {
  const element = new Uint32Array(8);
  element[0] = map;
  if (key !== undefined) setAddress(element, 2, key);
  setAddress(element, 4, value);
  return element;
}

/** Runs a program at each hit of a raw tracepoint of the kernel, until the returned descriptor and all copies of it are closed. */
export function openRawTracepoint(name: string, program: number): number {
  const text = stableBytes(`${name}\0`);
  // name, prog_fd, padding
  const open = new Uint32Array(4);
  setAddress(open, 0, text);
  open[2] = program;
  return bpf(BPF_RAW_TRACEPOINT_OPEN, open, `open the tracepoint ${name}`);
}
