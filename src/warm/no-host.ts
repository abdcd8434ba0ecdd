import { errnoNumber } from "../../bindings/abi/errno.ts";
import { F_GETFL, S_IFCHR, S_IFIFO, STATX_BASIC_STATS } from "../../bindings/abi/fcntl.ts";
import { statfs, statx } from "../../bindings/abi/layouts.ts";
import type { NativeArgument } from "../../bindings/ffi/koffi.ts";
import { cString, type SyscallName } from "../../bindings/ffi/syscall.ts";
import { bytesOf, textOf } from "../explain/native.ts";

const STDERR = 2;
const O_RDWR = 2;
/** File system types (linux/magic.h) by mount point. procfs and selinuxfs are checked before a label is set. */
const FILE_SYSTEMS: Readonly<Record<string, number>> = { "/proc": 0x9fa0, "/sys/fs/selinux": 0xf97cff8c };
/** The only descriptor besides the standard streams that this kernel returns. The simulated kernel above it has its own. */
const DIRECTORY = 999_999_999;
export const PID = 4242;

/**
 * Takes the place of the host below a simulated kernel: standard streams are /dev/null and two pipes whose output is discarded, and the
 * process has no limits. Any other call is an error, as a process that warms up must not learn, and so remember, anything about the host.
 */
export class NoHost {
  readonly #uid: number;
  #said = "";

  constructor(uid: number) {
    this.#uid = uid;
  }

  /** The text written to standard error since the last call. */
  takeErrors(): string {
    const said = this.#said;
    this.#said = "";
    return said;
  }

  readonly call = (name: SyscallName, args: readonly NativeArgument[]): number => {
    switch (name) {
      case "write":
        if (args[0] === STDERR) this.#said += new TextDecoder().decode(bytesOf(args[1]));
        return Number(args[2]);
      case "statx":
        return fillStream(bytesOf(args[4]), args[0] === 0);
      case "statfs":
        setType(bytesOf(args[1]), FILE_SYSTEMS[textOf(args[0])] ?? 0);
        return 0;
      case "openat":
        return DIRECTORY;
      case "fcntl":
        return args[1] === F_GETFL ? O_RDWR : DIRECTORY;
      case "ioctl":
        return -errnoNumber("ENOTTY");
      case "prlimit64":
        bytesOf(args[3]).fill(0xff);
        return 0;
      case "capget":
        bytesOf(args[1]).fill(0xff);
        return 0;
      case "getcwd":
        bytesOf(args[0]).set(cString("/"));
        return 2;
      case "getpid":
        return PID;
      case "getegid":
      case "geteuid":
        return this.#uid;
      case "capset":
      case "close":
      case "read":
      case "uname":
        return 0;
      default:
        throw new Error(`warm-up: ${name}(${args.map(String).join(", ")}) is a question to the host`);
    }
  };
}

/** Sets f_type of struct statfs. */
function setType(buffer: Uint8Array, type: number): void {
  new DataView(buffer.buffer, buffer.byteOffset).setBigUint64(statfs.f_type, BigInt(type), true);
}

/** Fills struct statx with the status of a pipe or of /dev/null. */
function fillStream(buffer: Uint8Array, isNull: boolean): number {
  const view = new DataView(buffer.buffer, buffer.byteOffset);
  view.setUint32(statx.stx_mask, STATX_BASIC_STATS, true);
  view.setUint16(statx.stx_mode, isNull ? S_IFCHR | 0o666 : S_IFIFO | 0o600, true);
  if (!isNull) return 0;
  view.setUint32(statx.stx_rdev_major, 1, true);
  view.setUint32(statx.stx_rdev_minor, 3, true);
  return 0;
}
