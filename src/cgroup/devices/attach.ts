import { errnoName } from "../../../bindings/abi/errno.ts";
import { O_DIRECTORY, O_PATH } from "../../../bindings/abi/fcntl.ts";
import { addressOf } from "../../../bindings/ffi/koffi.ts";
import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { trySyscall } from "../../../bindings/ffi/syscall.ts";
import { closeSync, openSync, readFileSync } from "../../../bindings/linux/files.ts";
import { RuntsError } from "../../errors.ts";
import { cgroupName, describeErrno } from "../files.ts";

// linux/bpf.h, Linux 6.12: enum bpf_cmd, and values of the attributes below.
export const BPF_PROG_LOAD = 5;
export const BPF_PROG_ATTACH = 8;
export const BPF_PROG_DETACH = 9;
export const BPF_PROG_GET_FD_BY_ID = 13;
export const BPF_PROG_QUERY = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_DEVICE = 6;
const BPF_F_ALLOW_MULTI = 2;
/** The kernel's limit of programs on one cgroup. */
const MAX_PROGRAMS = 64;

const POINTER = "/linux/resources/devices";
const RLIMIT_MEMLOCK = 8;

export interface DeviceOptions {
  readonly rootless: boolean;
  /** Whether the cgroup was created just now, and so has no program yet. */
  readonly isNew: boolean;
  readonly warn: (message: string) => void;
}

/**
 * Makes a program the only one on the cgroup itself; `undefined` removes all, which allows everything. The programs of its ancestors
 * still apply.
 */
export function attachDeviceProgram(
  directory: string,
  instructions: Uint8Array<ArrayBuffer> | undefined,
  options: DeviceOptions,
): void {
  withPurpose(POINTER, "attach the device program", () => replacePrograms(directory, instructions, options));
}

function replacePrograms(
  directory: string,
  instructions: Uint8Array<ArrayBuffer> | undefined,
  options: DeviceOptions,
): void {
  const cgroup = openSync(directory, O_PATH | O_DIRECTORY);
  try {
    const old = options.isNew ? [] : queryPrograms(cgroup);
    if (instructions !== undefined) {
      const program = loadProgram(instructions);
      try {
        bpf(BPF_PROG_ATTACH, attachment(cgroup, program, BPF_F_ALLOW_MULTI), "attach");
      } finally {
        closeSync(program);
      }
    }
    // Detached last. Until then both programs must allow a device, so at no time is more allowed than before or after.
    for (const id of old) detachProgram(cgroup, id, options.warn);
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    if (error.errno === "EPERM" && (options.rootless || inUserNamespace())) return;
    throw new RuntsError(
      `${POINTER}: cannot ${error.action} the device program of cgroup ${cgroupName(directory)}: ` +
        `${describeErrno(error.errno)}${hint(error.errno)}`,
      { operation: "bpf", errno: error.errno, path: directory, pointer: POINTER, cause: error },
    );
  } finally {
    closeSync(cgroup);
  }
}

class BpfError extends Error {
  readonly action: string;
  readonly errno: string;

  constructor(action: string, errno: string) {
    super(`bpf ${action}: ${errno}`);
    this.action = action;
    this.errno = errno;
  }
}

function hint(errno: string): string {
  if (errno === "ENOSYS" || errno === "EINVAL") return "; the kernel needs CONFIG_CGROUP_BPF";
  if (errno === "EPERM") return "; bpf(2) needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN";
  return "";
}

function bpf(command: number, words: Uint32Array<ArrayBuffer>, action: string): number {
  const result = trySyscall("bpf", command, new Uint8Array(words.buffer), words.byteLength);
  if (result < 0) throw new BpfError(action, errnoName(-result));
  return result;
}

// A command takes a part of union bpf_attr, here in 32-bit words. Plain stores and no iterators, here and in program.ts: this code runs
// once per process, where the first use of each builtin costs more than the work.

function setAddress(words: Uint32Array, index: number, buffer: Uint8Array): void {
  const address = addressOf(buffer);
  words[index] = Number(address & 0xffffffffn);
  words[index + 1] = Number(address >> 32n);
}

/**
 * Loads a program under its own licence, as it calls no kernel functions and so none that are for GPL programs only. Kernels before 5.11
 * charge it to RLIMIT_MEMLOCK and fail with EPERM.
 */
function loadProgram(instructions: Uint8Array<ArrayBuffer>): number {
  const license = stableBytes("Apache-2.0\0");
  // prog_type, insn_cnt, insns, license, log_level, log_size, log_buf, kern_version, prog_flags
  const load = new Uint32Array(12);
  load[0] = BPF_PROG_TYPE_CGROUP_DEVICE;
  load[1] = instructions.byteLength / 8;
  setAddress(load, 2, instructions);
  setAddress(load, 4, license);
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

/** target_fd, attach_bpf_fd, attach_type, attach_flags */
function attachment(cgroup: number, program: number, flags: number): Uint32Array<ArrayBuffer> {
  return new Uint32Array([cgroup, program, BPF_CGROUP_DEVICE, flags]);
}

/** Ids of the programs on the cgroup itself: those of an earlier container in it. */
function queryPrograms(cgroup: number): number[] {
  const ids = new Uint8Array(new ArrayBuffer(MAX_PROGRAMS * 4));
  // target_fd, attach_type, query_flags, attach_flags, prog_ids, prog_cnt
  const query = new Uint32Array([cgroup, BPF_CGROUP_DEVICE, 0, 0, 0, 0, MAX_PROGRAMS, 0]);
  setAddress(query, 4, ids);
  bpf(BPF_PROG_QUERY, query, "query");
  return [...new Uint32Array(ids.buffer, 0, query[6] ?? 0)];
}

/** The number of programs on the cgroup itself; undefined if the caller may not query them. */
export function countDevicePrograms(directory: string): number | undefined {
  const cgroup = openSync(directory, O_PATH | O_DIRECTORY);
  try {
    return queryPrograms(cgroup).length;
  } catch (error) {
    if (error instanceof BpfError) return undefined;
    throw error;
  } finally {
    closeSync(cgroup);
  }
}

/** A program that a security module keeps us from opening (EACCES, EPERM) stays, with a warning: it may deny what the rules allow. */
function detachProgram(cgroup: number, id: number, warn: DeviceOptions["warn"]): void {
  let program: number;
  try {
    program = bpf(BPF_PROG_GET_FD_BY_ID, new Uint32Array([id, 0, 0, 0]), "find");
  } catch (error) {
    if (!(error instanceof BpfError) || !["EACCES", "EPERM", "ENOENT"].includes(error.errno)) throw error;
    if (error.errno !== "ENOENT")
      warn(
        `${POINTER}: an earlier device program stays on the cgroup and still denies what it denied: ${describeErrno(error.errno)}`,
      );
    return;
  }
  try {
    bpf(BPF_PROG_DETACH, attachment(cgroup, program, 0), "detach");
  } catch (error) {
    // Somebody else has detached it.
    if (!(error instanceof BpfError) || error.errno !== "ENOENT") throw error;
  } finally {
    closeSync(program);
  }
}

/** user_namespaces(7): only the initial namespace maps all ids onto themselves. */
function inUserNamespace(): boolean {
  return !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "latin1"));
}
