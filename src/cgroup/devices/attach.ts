import {
  BPF_CGROUP_DEVICE,
  BPF_F_ALLOW_MULTI,
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
      // Under its own licence: it calls no kernel functions, and so none that are for GPL programs only.
      const program = loadProgram(BPF_PROG_TYPE_CGROUP_DEVICE, instructions, "Apache-2.0");
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
