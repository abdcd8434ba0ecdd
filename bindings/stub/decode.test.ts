import { describe, expect, it } from "vitest";
import { CLONE_INTO_CGROUP, CLONE_NEWNS, CLONE_PARENT } from "../abi/sched.ts";
import { decodeArguments } from "./decode.ts";
import type { DecodeContext } from "./decode-structs.ts";
import { type Argument, at, data } from "./program.ts";

const surroundings: DecodeContext = {
  register: (register) => `<r${register}>`,
  isOutput: () => false,
  storesInto: () => new Map(),
};

function decoded(call: Parameters<typeof decodeArguments>[0], ...args: Argument[]): string {
  return decodeArguments(call, args, surroundings).join(", ");
}

/** The expected texts are those of strace 6.13. */
describe("decodeArguments", () => {
  it("names flags, modes and directories", () => {
    expect(decoded("openat", -100, "/x", 0x280000, 0)).toBe('AT_FDCWD, "/x", O_RDONLY|O_CLOEXEC|O_PATH');
    expect(decoded("openat", { register: 4 }, "x", 0xa00c1, 0o644)).toBe(
      '<r4>, "x", O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0644',
    );
    expect(decoded("umask", 0)).toBe("000");
    expect(decoded("umask", 0o22)).toBe("022");
    expect(decoded("mount", "source", ".", "overlay", 1, "lowerdir=/a")).toBe(
      '"source", ".", "overlay", MS_RDONLY, "lowerdir=/a"',
    );
    expect(decoded("umount2", ".", 2)).toBe('".", MNT_DETACH');
    expect(decoded("unlinkat", 3, "x", 0)).toBe('3, "x", 0');
    expect(decoded("statx", 3, "", 0x1000, 0x7ff, 0)).toBe(
      '3, "", AT_STATX_SYNC_AS_STAT|AT_EMPTY_PATH, STATX_BASIC_STATS, NULL',
    );
  });

  it("names the rights of Landlock, and shows structs without fields that are 0", () => {
    const words = (...numbers: bigint[]) => data(new Uint8Array(new BigUint64Array(numbers).buffer));
    expect(decoded("landlock_create_ruleset", words(5n, 0n, 2n), 24, 0)).toBe(
      "{handled_access_fs=LANDLOCK_ACCESS_FS_EXECUTE|LANDLOCK_ACCESS_FS_READ_FILE, scoped=LANDLOCK_SCOPE_SIGNAL}, 24, 0",
    );
    expect(decoded("landlock_create_ruleset", 0, 0, 1)).toBe("NULL, 0, LANDLOCK_CREATE_RULESET_VERSION");
    expect(decoded("landlock_add_rule", 3, 2, words(1n, 443n), 0)).toBe(
      "3, LANDLOCK_RULE_NET_PORT, {allowed_access=LANDLOCK_ACCESS_NET_BIND_TCP, port=443}, 0",
    );
    const beneath = data(words(0x8001n, 0n).bytes.subarray(0, 12));
    const stored = { ...surroundings, storesInto: () => new Map([[8, { register: 4 }]]) };
    expect(decodeArguments("landlock_add_rule", [3, 1, beneath, 0], stored).join(", ")).toBe(
      "3, LANDLOCK_RULE_PATH_BENEATH, {allowed_access=LANDLOCK_ACCESS_FS_EXECUTE|LANDLOCK_ACCESS_FS_IOCTL_DEV, parent_fd=<r4>}, 0",
    );
    expect(decoded("landlock_restrict_self", 3, 6)).toBe(
      "3, LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON|LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF",
    );
  });

  it("names a socket's protocol by its family", () => {
    expect(decoded("socket", 16, 0x80003, 0)).toBe("AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE");
    expect(decoded("socket", 2, 0x80002, 0)).toBe("AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP");
  });

  it("shows device nodes by type and number, FIFOs without one", () => {
    expect(decoded("mknodat", 3, "null", 0o020666, 0x103n)).toBe(
      '3, "null", S_IFCHR|0666, makedev(0x1, 0x3)',
    );
    expect(decoded("mknodat", 3, "sda", 0o060600, 0x800n)).toBe('3, "sda", S_IFBLK|0600, makedev(0x8, 0)');
    expect(decoded("mknodat", 3, "big", 0o020600, 0xabcde00000123456n)).toContain(
      "makedev(0xabcde234, 0x156)",
    );
    expect(decoded("mknodat", 3, "fifo", 0o010644, 0)).toBe('3, "fifo", S_IFIFO|0644');
  });

  it("shows structs field by field", () => {
    const how = data(new Uint8Array(BigUint64Array.of(0x280000n, 0n, 0x12n).buffer));
    expect(decoded("openat2", 3, "x", how, 24)).toBe(
      '3, "x", {flags=O_RDONLY|O_CLOEXEC|O_PATH, resolve=RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT}, 24',
    );
    const limit = (soft: bigint, hard: bigint) => data(new Uint8Array(BigUint64Array.of(soft, hard).buffer));
    expect(decoded("prlimit64", 0, 7, limit(1024n, 8192n * 1024n), 0)).toBe(
      "0, RLIMIT_NOFILE, {rlim_cur=1024, rlim_max=8192*1024}, NULL",
    );
    expect(decoded("prlimit64", 0, 4, limit(0n, (1n << 64n) - 1n), 0)).toContain("rlim_max=RLIM64_INFINITY");
    const attributes = data(new Uint8Array(BigUint64Array.of(1n, 0x70n, 0x80000n, 0n).buffer));
    expect(decoded("mount_setattr", 3, "", 0x9000, attributes, 32)).toBe(
      '3, "", AT_EMPTY_PATH|AT_RECURSIVE, {attr_set=MOUNT_ATTR_RDONLY, attr_clr=MOUNT_ATTR__ATIME, propagation=MS_SLAVE, userns_fd=0}, 32',
    );
  });

  it("shows capabilities of both halves", () => {
    const sets = data(new Uint8Array(Uint32Array.of(1 << 5, 0, 0, 1 << 7, 0, 0).buffer));
    expect(decoded("capset", data(new Uint8Array(8)), sets)).toBe(
      "{version=_LINUX_CAPABILITY_VERSION_3, pid=0}, {effective=1<<CAP_KILL|1<<CAP_BPF, permitted=0, inheritable=0}",
    );
    expect(decoded("prctl", 24, 21, 0, 0, 0)).toBe("PR_CAPBSET_DROP, CAP_SYS_ADMIN");
    expect(decoded("prctl", 47, 4, 0, 0, 0)).toBe("PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0");
    expect(decoded("prctl", 47, 2, 5, 0, 0)).toBe("PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0");
  });

  it("shows the values that earlier operations store into a struct", () => {
    const args = data(new Uint8Array(88));
    const flags = BigInt(CLONE_PARENT | CLONE_NEWNS) | CLONE_INTO_CGROUP;
    new DataView(args.bytes.buffer).setBigUint64(0, flags, true);
    const stores = new Map<number, Argument>([[80, { register: 9 }]]);
    const shown = decodeArguments("clone3", [args, 88], { ...surroundings, storesInto: () => stores });
    expect(shown.join(", ")).toBe(
      "{flags=CLONE_PARENT|CLONE_NEWNS|CLONE_INTO_CGROUP, exit_signal=0, stack=NULL, stack_size=0, cgroup=<r9>}, 88",
    );
    const array = data(new Uint8Array(24));
    const strings = new Map<number, Argument>([
      [8, data(new TextEncoder().encode("b c\0"))],
      [0, data(new TextEncoder().encode("a\0"))],
    ]);
    expect(
      decodeArguments("execve", ["/a", array, array], { ...surroundings, storesInto: () => strings }),
    ).toEqual(['"/a"', '["a", "b c"]', '["a", "b c"]']);
  });

  it("shows other arguments plainly: output, bytes, numbers and sets of CPUs", () => {
    const bytes = data(new Uint8Array(5));
    expect(decodeArguments("read", [3, bytes, 5], { ...surroundings, isOutput: () => true })).toEqual([
      "3",
      "<output>",
      "5",
    ]);
    expect(decoded("sendfile", 3, 4, 0, 9)).toBe("3, 4, 0, 9");
    expect(decoded("sched_setaffinity", 0, 2, data(Uint8Array.of(0b10110001, 1)))).toBe("0, 2, [0 4-5 7-8]");
    expect(decoded("setgroups", 2, data(new Uint8Array(Uint32Array.of(5, 1234).buffer)))).toBe(
      "2, [5, 1234]",
    );
    expect(decoded("chdir", at(data(new TextEncoder().encode("xx/a\0b")), 2))).toBe('"/a"');
  });
});
