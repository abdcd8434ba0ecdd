import { errnoName } from "../../../bindings/abi/errno.ts";
import { O_DIRECTORY, O_PATH } from "../../../bindings/abi/fcntl.ts";
import { addressOf } from "../../../bindings/ffi/koffi.ts";
import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { trySyscall } from "../../../bindings/ffi/syscall.ts";
import { closeSync, openSync, readFileSync } from "../../../bindings/linux/files.ts";
import { RuntsError } from "../../errors.ts";
import { cgroupName, describeErrno } from "../files.ts";

// linux/bpf.h, Linux 6.12: enum bpf_cmd and what the calls below take.
export const BPF_PROG_LOAD = 5;
export const BPF_PROG_ATTACH = 8;
export const BPF_PROG_DETACH = 9;
export const BPF_PROG_GET_FD_BY_ID = 13;
export const BPF_PROG_QUERY = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_DEVICE = 6;
const BPF_F_ALLOW_MULTI = 2;
/** The kernel attaches no more than this many to one cgroup. */
const MAX_PROGRAMS = 64;

const POINTER = "/linux/resources/devices";
const RLIMIT_MEMLOCK = 8;

export interface DeviceOptions {
  readonly rootless: boolean;
  /** The cgroup was made just now: it has no program yet. */
  readonly isNew: boolean;
  readonly warn: (message: string) => void;
}

/**
 * Makes a program the only one on the cgroup itself; those of the cgroups above apply too, whatever this one says.
 * `undefined` is a program that allows everything, which is none at all.
 */
export function attachDeviceProgram(
  directory: string,
  instructions: Uint8Array<ArrayBuffer> | undefined,
  options: DeviceOptions,
): void {
  withPurpose(POINTER, "decide about devices by a program", () =>
    replacePrograms(directory, instructions, options),
  );
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
    // Last: programs restrict one another, so that at no time more is allowed than before or after.
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

/**
 * The part of union bpf_attr that a command uses, in 32-bit words. Plain stores and no iterators, here and in the compiler: all of
 * this runs once in a process, where each builtin that is used for the first time costs more than the work.
 */
function attributes(words: readonly number[]): Uint32Array<ArrayBuffer> {
  return new Uint32Array(words);
}

function setAddress(words: Uint32Array, index: number, buffer: Uint8Array): void {
  const address = addressOf(buffer);
  words[index] = Number(address & 0xffffffffn);
  words[index + 1] = Number(address >> 32n);
}

/**
 * The program calls no function of the kernel, and so none that is for GPL programs only: it carries its own licence. Kernels
 * before 5.11 count it against RLIMIT_MEMLOCK and say EPERM.
 */
function loadProgram(instructions: Uint8Array<ArrayBuffer>): number {
  const license = stableBytes("Apache-2.0\0");
  // prog_type, insn_cnt, insns, license, log_level, log_size, log_buf, kern_version, prog_flags
  const load = attributes([
    BPF_PROG_TYPE_CGROUP_DEVICE,
    instructions.byteLength / 8,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
  ]);
  setAddress(load, 2, instructions);
  setAddress(load, 4, license);
  try {
    return bpf(BPF_PROG_LOAD, load, "load");
  } catch (error) {
    if (!(error instanceof BpfError) || error.errno !== "EPERM") throw error;
    return withUnlimitedMemlock(() => bpf(BPF_PROG_LOAD, load, "load"));
  }
}

/** The limit is put back, as the container inherits it. */
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

/** A buffer of its own, whose address the kernel may be given. */
function stableBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(text.length));
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}

/** target_fd, attach_bpf_fd, attach_type, attach_flags */
function attachment(cgroup: number, program: number, flags: number): Uint32Array<ArrayBuffer> {
  return attributes([cgroup, program, BPF_CGROUP_DEVICE, flags]);
}

/** Ids of the programs on the cgroup itself, from an earlier container in it. */
function queryPrograms(cgroup: number): number[] {
  const ids = new Uint8Array(new ArrayBuffer(MAX_PROGRAMS * 4));
  // target_fd, attach_type, query_flags, attach_flags, prog_ids, prog_cnt
  const query = attributes([cgroup, BPF_CGROUP_DEVICE, 0, 0, 0, 0, MAX_PROGRAMS, 0]);
  setAddress(query, 4, ids);
  bpf(BPF_PROG_QUERY, query, "query");
  return [...new Uint32Array(ids.buffer, 0, query[6] ?? 0)];
}

/** How many programs the cgroup itself has; undefined where the caller may not ask. */
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

/** A program that a security module keeps from us (EACCES, EPERM) stays: it can only restrict more, which may be more than asked for. */
function detachProgram(cgroup: number, id: number, warn: DeviceOptions["warn"]): void {
  let program: number;
  try {
    program = bpf(BPF_PROG_GET_FD_BY_ID, attributes([id, 0, 0, 0]), "find");
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
    // Somebody else was faster.
    if (!(error instanceof BpfError) || error.errno !== "ENOENT") throw error;
  } finally {
    closeSync(program);
  }
}

/** user_namespaces(7): only the initial one maps everything onto itself. */
function inUserNamespace(): boolean {
  return !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "latin1"));
}
