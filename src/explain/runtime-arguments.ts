import { BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_PROG_LOAD } from "../../bindings/abi/bpf.ts";
import { AT_FDCWD } from "../../bindings/abi/fcntl.ts";
import type { NativeArgument } from "../../bindings/ffi/koffi.ts";
import type { SyscallName } from "../../bindings/ffi/syscall.ts";
import { decodeArguments } from "../../bindings/stub/decode.ts";
import { type Argument, data } from "../../bindings/stub/program.ts";
import { bytesOf } from "./native.ts";

/** Arguments of the runtime's own system calls, in the notation of strace(1). */

/** Longer contents, in bytes, are shown by their length. */
const SHOWN = 200;

export function runtimeArguments(call: SyscallName, args: readonly NativeArgument[], path: string): string[] {
  switch (call) {
    case "write":
    case "pwrite64":
      return [String(args[0]), ...content(args, path)];
    case "bind":
    case "connect":
      return [String(args[0]), `{sa_family=AF_UNIX, sun_path=${JSON.stringify(path)}}`];
    case "bpf":
      return bpfArguments(args);
    case "openat":
    case "openat2":
    case "fchmodat":
    case "mkdirat":
    case "unlinkat":
      // With the whole path, also where the call goes through a descriptor.
      return decodeArguments(call, [AT_FDCWD, path, ...args.slice(2).map(toArgument)], NO_SURROUNDINGS);
    default:
      return decodeArguments(call, args.map(toArgument), NO_SURROUNDINGS);
  }
}

/** The record and the config are only named: the record contains the time of day and pids, and the reader has the config. */
function content(args: readonly NativeArgument[], path: string): string[] {
  if (/\/state\.json\.new$/.test(path)) return ["<the record>", "<its length>"];
  if (path.endsWith("/config.json")) return ["<the config>", "<its length>"];
  const length = Number(args[2]);
  const text = new TextDecoder().decode(bytesOf(args[1]).subarray(0, length));
  // A pid, of which not even the number of digits is known.
  if (/^2\d{9}$/.test(text)) return [JSON.stringify(text), "<its length>"];
  const shown = length <= SHOWN ? JSON.stringify(text) : `<${length} bytes>`;
  return [shown, String(length)];
}

function bpfArguments(args: readonly NativeArgument[]): string[] {
  const bytes = bytesOf(args[1]);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const word = (index: number) => view.getUint32(4 * index, true);
  const command = Number(args[0]);
  if (command === BPF_PROG_LOAD)
    return ["BPF_PROG_LOAD", `{prog_type=BPF_PROG_TYPE_CGROUP_DEVICE, insn_cnt=${word(1)}}`];
  const fields = `target_fd=${word(0)}, attach_bpf_fd=${word(1)}, attach_type=BPF_CGROUP_DEVICE`;
  if (command === BPF_PROG_ATTACH) return ["BPF_PROG_ATTACH", `{${fields}, attach_flags=BPF_F_ALLOW_MULTI}`];
  if (command === BPF_PROG_DETACH) return ["BPF_PROG_DETACH", `{${fields}}`];
  return [String(command)];
}

function toArgument(argument: NativeArgument): Argument {
  if (argument === null) return 0;
  return argument instanceof Uint8Array ? data(argument) : argument;
}

const NO_SURROUNDINGS = {
  register: (register: number) => `<register ${register}>`,
  isOutput: () => false,
  storesInto: () => new Map<number, Argument>(),
};
