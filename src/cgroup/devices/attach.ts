import {
  BPF_CGROUP_DEVICE,
  BPF_F_ALLOW_MULTI,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_PROG_ATTACH,
  BPF_PROG_DETACH,
  BPF_PROG_GET_FD_BY_ID,
  BPF_PROG_QUERY,
  BPF_PROG_TYPE_CGROUP_DEVICE,
} from "../../../bindings/abi/bpf.ts";
import { O_DIRECTORY, O_PATH } from "../../../bindings/abi/fcntl.ts";
import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { BpfError, bpf, loadProgram, setAddress } from "../../../bindings/linux/bpf.ts";
import { closeSync, openSync, readFileSync } from "../../../bindings/linux/files.ts";
import { RuntsError } from "../../errors.ts";
import { cgroupName, describeErrno } from "../files.ts";

/** The kernel's limit of programs on one cgroup. */
const MAX_PROGRAMS = 64;

const POINTER = "/linux/resources/devices";

/** The program's own: it calls no kernel functions, and so none that are for GPL programs only. */
const LICENCE = "Apache-2.0";

export interface DeviceOptions {
  readonly rootless: boolean;
  /** Whether the cgroup was created just now, and so has no program yet. */
  readonly isNew: boolean;
  /** Whether EPERM is an error for every caller. By default a caller without privileges does without device rules. */
  readonly isRequired?: boolean;
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
      const program = loadProgram(BPF_PROG_TYPE_CGROUP_DEVICE, instructions, LICENCE);
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
    const mayDoWithout = options.isRequired !== true && (options.rootless || inUserNamespace());
    if (error.errno === "EPERM" && mayDoWithout) return;
    throw refusal(error, directory);
  } finally {
    closeSync(cgroup);
  }
}

function refusal(error: BpfError, directory: string): RuntsError {
  const message =
    `${POINTER}: cannot ${error.action} the device program of cgroup ${cgroupName(directory)}: ` +
    `${describeErrno(error.errno)}${hint(error.errno)}`;
  return new RuntsError(message, {
    operation: "bpf",
    errno: error.errno,
    path: directory,
    pointer: POINTER,
    cause: error,
  });
}

/**
 * Whether a program of these instructions is on the cgroup itself, beside others or not; for `undefined`, whether there is no program at
 * all. Another program may have been put in its place by somebody who added devices, as NVIDIA's container toolkit does.
 */
export function hasDeviceProgram(
  directory: string,
  instructions: Uint8Array<ArrayBuffer> | undefined,
): boolean {
  return withPurpose(POINTER, "look at the device program", () => {
    const cgroup = openSync(directory, O_PATH | O_DIRECTORY);
    try {
      const ids = queryPrograms(cgroup);
      if (instructions === undefined) return ids.length === 0;
      const wanted = tagOf(loadProgram(BPF_PROG_TYPE_CGROUP_DEVICE, instructions, LICENCE));
      return ids.some((id) => {
        const program = bpf(BPF_PROG_GET_FD_BY_ID, new Uint32Array([id, 0, 0, 0]), "find");
        return tagOf(program) === wanted;
      });
    } catch (error) {
      throw error instanceof BpfError ? refusal(error, directory) : error;
    } finally {
      closeSync(cgroup);
    }
  });
}

/** Returns the kernel's hash of a program's instructions, `tag` of struct bpf_prog_info, and closes the program. */
function tagOf(program: number): string {
  try {
    // u32 type; u32 id; u8 tag[8]
    const info = new Uint8Array(new ArrayBuffer(16));
    // bpf_fd, info_len, info
    const query = new Uint32Array([program, info.length, 0, 0]);
    setAddress(query, 2, info);
    bpf(BPF_OBJ_GET_INFO_BY_FD, query, "look at");
    return Buffer.from(info.buffer, 8, 8).toString("hex");
  } finally {
    closeSync(program);
  }
}

function hint(errno: string): string {
  if (errno === "ENOSYS" || errno === "EINVAL") return "; the kernel needs CONFIG_CGROUP_BPF";
  if (errno === "EPERM") return "; bpf(2) needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN";
  return "";
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
