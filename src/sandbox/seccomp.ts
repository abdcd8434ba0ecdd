import type { ConfigInput } from "../spec/config-input.ts";

type Seccomp = NonNullable<NonNullable<ConfigInput["linux"]>["seccomp"]>;
type Rule = NonNullable<Seccomp["syscalls"]>[number];

/**
 * The system calls that a sandboxed program has no use for. Most need capabilities, which it doesn't have; they are denied all the same, as
 * are those by which it could get them in a new user namespace: much of the kernel can be reached only with them.
 */
const DENIED = [
  // New namespaces and mounts. unshare and clone are denied below, as far as they make user namespaces.
  ...[
    "setns",
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "open_tree_attr",
  ],
  ...["fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "listmount", "statmount"],
  // Code in the kernel, and its interfaces with a history of flaws.
  ...["bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"],
  ...["init_module", "finit_module", "delete_module", "create_module", "query_module", "get_kernel_syms"],
  ...["kexec_load", "kexec_file_load", "lookup_dcookie", "fanotify_init", "fanotify_mark", "vm86", "vm86old"],
  // Keys of the kernel's keyrings, which know no namespaces: user_namespaces(7) and keyrings(7).
  ...["add_key", "keyctl", "request_key"],
  // Files by handle, past the directories that lead to them (open_by_handle_at(2)).
  ...["name_to_handle_at", "open_by_handle_at"],
  // The host's clock, swap, quotas, log, accounting, ports and power.
  ...[
    "adjtimex",
    "clock_adjtime",
    "clock_adjtime64",
    "clock_settime",
    "clock_settime64",
    "settimeofday",
    "stime",
  ],
  ...[
    "acct",
    "ioperm",
    "iopl",
    "nfsservctl",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "swapoff",
    "swapon",
    "syslog",
  ],
  ...["_sysctl", "sysfs", "uselib", "ustat", "vhangup"],
  // Memory of the host's NUMA nodes.
  ...["mbind", "migrate_pages", "move_pages", "set_mempolicy", "set_mempolicy_home_node"],
  // Comparison of kernel pointers (kcmp(2)).
  "kcmp",
  // Descriptors of another process (pidfd_getfd(2)). Debuggers need ptrace(2), which reaches only processes of the sandbox.
  "pidfd_getfd",
];

const EPERM = 1;
const ENOSYS = 38;
/** linux/sched.h */
const CLONE_NEWUSER = 0x10000000;
/** asm-generic/ioctls.h: types into a terminal, and talks to the console. */
const INJECTING = [0x5412, 0x541c];
const LOW_WORD = 0xffffffff;

const ARCHITECTURES: Readonly<Record<string, readonly string[]>> = {
  x64: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  arm64: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
};

/** The filter of a sandbox. `machine` is the processor, as Node names it. */
export function sandboxSeccomp(machine: string): Seccomp {
  return {
    defaultAction: "SCMP_ACT_ALLOW",
    architectures: [...(ARCHITECTURES[machine] ?? [])],
    syscalls: [
      { names: [...DENIED], action: "SCMP_ACT_ERRNO", errnoRet: EPERM },
      // Its flags are in memory, which no filter can read. The C library falls back to clone.
      { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
      denied(["clone", "unshare"], 0, CLONE_NEWUSER, CLONE_NEWUSER),
      // The kernel takes the low word only: a comparison of the whole argument could be passed by (CVE-2019-10063).
      ...INJECTING.map((request) => denied(["ioctl"], 1, LOW_WORD, request)),
    ],
  };
}

function denied(names: string[], index: number, mask: number, value: number): Rule {
  return {
    names,
    action: "SCMP_ACT_ERRNO",
    errnoRet: EPERM,
    args: [{ index, value: mask, valueTwo: value, op: "SCMP_CMP_MASKED_EQ" }],
  };
}
