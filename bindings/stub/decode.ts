import { flagsOf, oneOf, type ToName } from "../abi/flag-names.ts";
import {
  fcntl,
  ioctl,
  keyctl,
  landlock,
  mman,
  mount,
  prctl,
  sched,
  seccomp,
  socket,
} from "../abi/flag-values.generated.ts";
import { rlimitNames } from "../abi/resource.ts";
import { signalName } from "../abi/signal.ts";
import type { SyscallName } from "../ffi/syscall.ts";
import type { DecodeContext } from "./decode-structs.ts";
import * as struct from "./decode-structs.ts";
import { type Argument, isData, type StubCall } from "./program.ts";

/** System calls as text, in the notation of strace(1). */

export type Show = (argument: Argument, context: DecodeContext, all: readonly Argument[]) => string;

/** The text of each argument of a call. */
export function decodeArguments(
  call: SyscallName | StubCall,
  args: readonly Argument[],
  context: DecodeContext,
): string[] {
  const shows = argumentsOf(call, args);
  return shows.flatMap((show, index) => {
    const argument = args[index];
    return argument === undefined ? [] : [show(argument, context, args)];
  });
}

/** Text of an argument without a known meaning. */
export function plain(argument: Argument, context: DecodeContext): string {
  if (typeof argument === "string") return quoted(argument);
  if (typeof argument === "number" || typeof argument === "bigint") return String(argument);
  if ("register" in argument) return context.register(argument.register);
  return context.isOutput(argument) ? "<output>" : `<${argument.bytes.length} bytes>`;
}

function named(toName: ToName): Show {
  return (argument, context) =>
    typeof argument === "number" || typeof argument === "bigint"
      ? toName(argument)
      : plain(argument, context);
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

const number: Show = plain;

/** Takes the bytes of a C string, too: the runtime's own calls have those. */
const string: Show = (argument, context) => {
  if (typeof argument !== "object" || "register" in argument || context.isOutput(argument))
    return argument === 0 ? "NULL" : plain(argument, context);
  const bytes = argument.bytes.subarray(argument.offset);
  const end = bytes.indexOf(0);
  return quoted(new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end)));
};

const pointer: Show = (argument, context) => (argument === 0 ? "NULL" : plain(argument, context));

const directory = named((value) => (Number(value) === fcntl.AT_FDCWD ? "AT_FDCWD" : String(value)));
const hexadecimal = named((value) => `0x${value.toString(16)}`);
const octal = named((value) => `0${value.toString(8)}`.padStart(3, "0"));
const resource = named((value) => rlimitNames[Number(value)] ?? String(value));

const openFlagBits = flagsOf(fcntl, ["O_"], {
  except: ["O_ACCMODE", "O_WRONLY", "O_RDWR", "O_TMPFILE", "O_SYNC"],
  none: "",
});

function openFlagNames(value: number | bigint): string {
  const access = ["O_RDONLY", "O_WRONLY", "O_RDWR"][Number(value) & fcntl.O_ACCMODE] ?? "O_ACCMODE";
  return [access, openFlagBits(BigInt(value) & ~3n)].filter(Boolean).join("|");
}

const openFlags = named(openFlagNames);
const resolveFlags = flagsOf(fcntl, ["RESOLVE_"]);
const atFlags = named(
  flagsOf(fcntl, ["AT_"], { except: ["AT_FDCWD", "AT_EACCESS", "AT_REMOVEDIR", "AT_STATX_SYNC_TYPE"] }),
);
const statxFlags = named((value) =>
  ["AT_STATX_SYNC_AS_STAT", ...(value === 0 || value === 0n ? [] : [atFlags(value, NOWHERE, [])])].join("|"),
);
const cloneFlags = flagsOf(sched, ["CLONE_"]);
const mountAttributes = flagsOf(mount, ["MOUNT_ATTR_"], { except: ["MOUNT_ATTR_SIZE_VER0"] });
const propagation = oneOf(mount, "MS_");
const capability = named(struct.capabilityName);
const statxMask = named(flagsOf(fcntl, ["STATX_"], { except: ["STATX_ATTR_MOUNT_ROOT"] }));
const fileType = oneOf(fcntl, "S_IF", ["S_IFMT"]);
const fileTypeAndMode = named(
  (value) => `${fileType(Number(value) & fcntl.S_IFMT)}|0${(Number(value) & 0o7777).toString(8)}`,
);
const accessMode = named((value) =>
  Number(value) === 1 ? "X_OK" : Number(value) === 2 ? "W_OK" : String(value),
);

/** For flags outside of a program. */
const NOWHERE: DecodeContext = {
  register: (register) => `<register ${register}>`,
  isOutput: () => false,
  storesInto: () => new Map(),
};

const openHow: Show = (argument, context) =>
  isData(argument) ? struct.openHow(argument, openFlagNames, resolveFlags) : plain(argument, context);
const mountAttr: Show = (argument, context) =>
  isData(argument)
    ? struct.mountAttr(argument, context, mountAttributes, propagation)
    : plain(argument, context);
const cloneArgs: Show = (argument, context) =>
  isData(argument) ? struct.cloneArgs(argument, context, cloneFlags) : plain(argument, context);

const landlockRule = oneOf(landlock, "LANDLOCK_RULE_");
const landlockRights = {
  fs: flagsOf(landlock, ["LANDLOCK_ACCESS_FS_"]),
  net: flagsOf(landlock, ["LANDLOCK_ACCESS_NET_"]),
  scope: flagsOf(landlock, ["LANDLOCK_SCOPE_"]),
};
const rulesetAttr: Show = (argument, context) =>
  isData(argument) ? struct.rulesetAttr(argument, landlockRights) : pointer(argument, context, []);
const ruleAttr: Show = (argument, context, all) => {
  if (!isData(argument)) return plain(argument, context);
  return all[1] === landlock.LANDLOCK_RULE_PATH_BENEATH
    ? struct.pathBeneathAttr(argument, context, landlockRights.fs)
    : struct.netPortAttr(argument, landlockRights.net);
};

const calls: Partial<Record<SyscallName | StubCall, readonly Show[]>> = {
  accept4: [number, pointer, pointer, named(flagsOf(socket, ["SOCK_CLOEXEC", "SOCK_NONBLOCK"]))],
  capset: [struct.capabilityHeader, struct.capabilityData],
  chdir: [string],
  chroot: [string],
  clone3: [cloneArgs, number],
  close: [number],
  close_range: [number, number, named(flagsOf(fcntl, ["CLOSE_RANGE_"]))],
  dup3: [number, number, named((value) => (Number(value) === fcntl.O_CLOEXEC ? "O_CLOEXEC" : String(value)))],
  execve: [string, struct.stringArray, struct.stringArray],
  faccessat2: [directory, string, accessMode, named((value) => (Number(value) === 0 ? "0" : "AT_EACCESS"))],
  fchmod: [number, octal],
  fcntl: [
    number,
    named(
      oneOf(
        fcntl,
        "F_",
        Object.keys(fcntl).filter((name) => /^F_(SEAL_|..LCK)/.test(name)),
      ),
    ),
    number,
  ],
  fchownat: [number, string, number, number, atFlags],
  fsconfig: [number, named(oneOf(mount, "FSCONFIG_")), string, string, number],
  fsmount: [number, named(flagsOf(mount, ["FSMOUNT_"])), named(mountAttributes)],
  fsopen: [string, named(flagsOf(mount, ["FSOPEN_"]))],
  landlock_add_rule: [number, named(landlockRule), ruleAttr, number],
  landlock_create_ruleset: [rulesetAttr, number, named(flagsOf(landlock, ["LANDLOCK_CREATE_RULESET_"]))],
  landlock_restrict_self: [number, named(flagsOf(landlock, ["LANDLOCK_RESTRICT_SELF_"]))],
  memfd_create: [string, named(flagsOf(fcntl, ["MFD_"]))],
  mkdirat: [directory, string, octal],
  mknodat: [directory, string, fileTypeAndMode, struct.device],
  mmap: [
    hexadecimal,
    number,
    named(flagsOf(mman, ["PROT_"])),
    named(flagsOf(mman, ["MAP_"])),
    number,
    number,
  ],
  mount: [pointerOrString, string, pointerOrString, named(flagsOf(mount, ["MS_"])), pointerOrString],
  mount_setattr: [directory, string, atFlags, mountAttr, number],
  move_mount: [directory, string, directory, string, named(flagsOf(mount, ["MOVE_MOUNT_"]))],
  open_tree: [
    directory,
    string,
    named((value) => {
      const parts = [
        flagsOf(mount, ["OPEN_TREE_"], { none: "" })(
          BigInt(value) & BigInt(mount.OPEN_TREE_CLONE | mount.OPEN_TREE_CLOEXEC),
        ),
        flagsOf(fcntl, ["AT_EMPTY_PATH", "AT_RECURSIVE", "AT_SYMLINK_NOFOLLOW"], { none: "" })(
          BigInt(value) & BigInt(fcntl.AT_EMPTY_PATH | fcntl.AT_RECURSIVE | fcntl.AT_SYMLINK_NOFOLLOW),
        ),
      ];
      return parts.filter(Boolean).join("|") || "0";
    }),
  ],
  openat: [directory, string, openFlags, octal],
  openat2: [directory, string, openHow, number],
  pivot_root: [string, string],
  prlimit64: [number, resource, struct.rlimit, pointer],
  rt_sigaction: [
    named((value) => signalName(Number(value)) ?? String(value)),
    struct.signalAction,
    pointer,
    number,
  ],
  rt_sigprocmask: [
    named((value) => ["SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK"][Number(value)] ?? String(value)),
    () => "[]",
    pointer,
    number,
  ],
  sched_setaffinity: [number, number, struct.cpuSet],
  seccomp: [
    named(oneOf(seccomp, "SECCOMP_SET_MODE_")),
    named(flagsOf(seccomp, ["SECCOMP_FILTER_FLAG_"])),
    struct.filterProgram,
  ],
  sendmsg: [number, struct.message, named(flagsOf(socket, ["MSG_"]))],
  set_mempolicy: [number, struct.cpuSet, number],
  setdomainname: [string, number],
  setgroups: [number, struct.groups],
  sethostname: [string, number],
  setns: [number, named(cloneFlags)],
  socket: [
    named(oneOf(socket, "AF_")),
    named((value) => {
      const type = oneOf(socket, "SOCK_", ["SOCK_CLOEXEC", "SOCK_NONBLOCK"])(BigInt(value) & 0xfn);
      return `${type}${(BigInt(value) & BigInt(socket.SOCK_CLOEXEC)) === 0n ? "" : "|SOCK_CLOEXEC"}`;
    }),
    socketProtocol,
  ],
  statx: [directory, string, statxFlags, statxMask, pointer],
  symlinkat: [string, number, string],
  umask: [octal],
  umount2: [
    string,
    named(flagsOf(mount, ["MNT_", "UMOUNT_"], { except: ["MNT_ID_REQ_SIZE_VER0", "MNT_ID_REQ_SIZE_VER1"] })),
  ],
  unlinkat: [directory, string, named((value) => (Number(value) === 0 ? "0" : "AT_REMOVEDIR"))],
  unshare: [named(cloneFlags)],
  fchmodat: [directory, string, octal],
  renameat2: [directory, string, directory, string, named(flagsOf(fcntl, ["RENAME_"]))],
};

function pointerOrString(argument: Argument, context: DecodeContext): string {
  return argument === 0 ? "NULL" : string(argument, context, []);
}

/** Protocol 0 means another protocol in each family. */
function socketProtocol(argument: Argument, context: DecodeContext, all: readonly Argument[]): string {
  if (argument !== 0) return plain(argument, context);
  return all[0] === socket.AF_NETLINK ? "NETLINK_ROUTE" : "IPPROTO_IP";
}

/** How to show the arguments of a call. For some calls that depends on the first ones. */
function argumentsOf(call: SyscallName | StubCall, args: readonly Argument[]): readonly Show[] {
  const [, second] = args;
  if (call === "prctl") return prctlArguments(Number(args[0]));
  if (call === "ioctl") return [number, ioctlRequest, ioctlArgument(Number(second))];
  if (call === "keyctl") return keyctlArguments(Number(args[0]));
  if (call === "openat" && (Number(args[2]) & fcntl.O_CREAT) === 0) return [directory, string, openFlags];
  if (call === "mknodat" && (Number(args[2]) & fcntl.S_IFMT) === fcntl.S_IFIFO)
    return [directory, string, fileTypeAndMode];
  return calls[call] ?? args.map(() => plain);
}

function prctlArguments(operation: number): readonly Show[] {
  const which = named(
    oneOf(
      prctl,
      "PR_",
      Object.keys(prctl).filter((name) => /^PR_(CAP_AMBIENT_|SPEC_|SET_MM_)/.test(name)),
    ),
  );
  switch (operation) {
    case prctl.PR_SET_NAME:
      return [which, string];
    case prctl.PR_SET_DUMPABLE:
      return [which, named((value) => (Number(value) === 0 ? "SUID_DUMP_DISABLE" : "SUID_DUMP_USER"))];
    case prctl.PR_CAPBSET_DROP:
      return [which, capability];
    case prctl.PR_SET_KEEPCAPS:
      return [which, number];
    case prctl.PR_CAP_AMBIENT:
      return [which, named(oneOf(prctl, "PR_CAP_AMBIENT_")), capabilityOrZero, number, number];
    default:
      return [which, number, number, number, number];
  }
}

const capabilityOrZero: Show = (argument, context, all) =>
  Number(all[1]) === prctl.PR_CAP_AMBIENT_CLEAR_ALL ? "0" : capability(argument, context, all);

const ioctlRequest = named((value) =>
  Number(value) === socket.SIOCSIFFLAGS ? "SIOCSIFFLAGS" : oneOf(ioctl, "TIOC")(value),
);

function ioctlArgument(request: number): Show {
  if (request === socket.SIOCSIFFLAGS) return struct.interfaceFlags;
  if (request === ioctl.TIOCGPTPEER) return hexadecimal;
  if (request === ioctl.TIOCSPTLCK) return () => "[0]";
  if (request === ioctl.TIOCSWINSZ) return struct.windowSize;
  return number;
}

function keyctlArguments(operation: number): readonly Show[] {
  const which = named(oneOf(keyctl, "KEYCTL_"));
  if (operation === keyctl.KEYCTL_JOIN_SESSION_KEYRING) return [which, string];
  const permissions = named(flagsOf(keyctl, ["KEY_POS_", "KEY_USR_"], { except: ["KEY_POS_ALL"] }));
  return operation === keyctl.KEYCTL_SETPERM ? [which, number, permissions] : [which, number, number];
}
