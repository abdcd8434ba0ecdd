import { describe, expect, test } from "vitest";
import type { Libseccomp } from "../../../bindings/linux/libseccomp.ts";
import type { Seccomp } from "../../spec/types.ts";
import { SCMP_ARCH_X32, X32_SYSCALL_BIT } from "../constants.ts";
import { CallRecord } from "./call-record.ts";
import { nameCalls } from "./recorded-calls.ts";
import { mergeProfile, recordedProfile } from "./recorded-profile.ts";
import { runtimeCalls } from "./runtime-calls.ts";
import { MAX_VALUES, WATCHED_ARGUMENTS } from "./watched-arguments.ts";

const X86_64 = 0xc000003e;
const X86 = 0x40000003;
const NAMES: Readonly<Record<string, string>> = {
  [`${X86_64} 0`]: "read",
  [`${X86_64} 41`]: "socket",
  [`${X86_64} 56`]: "clone",
  [`${X86_64} 135`]: "personality",
  [`${X86_64} 272`]: "unshare",
  [`${X86} 3`]: "read",
  [`${X86} 359`]: "socket",
  [`${SCMP_ARCH_X32} ${X32_SYSCALL_BIT + 39}`]: "getpid",
};

const library: Libseccomp = {
  version: () => "2.6.0",
  nativeArch: () => X86_64,
  resolveSyscalls: (_, names) => new Int32Array(names.length),
  syscallName: (arch, number) => NAMES[`${arch} ${number}`],
  createFilter: () => {
    throw new Error("not needed");
  },
};

function named(fill: (record: CallRecord) => void) {
  const record = new CallRecord();
  fill(record);
  const warnings: string[] = [];
  return { calls: nameCalls(record, library, (message) => warnings.push(message)), warnings };
}

const silent = (): void => undefined;
const allow = (names: readonly string[]) => ({ names, action: "SCMP_ACT_ALLOW" as const });

describe("nameCalls", () => {
  test("names calls by their architecture", () => {
    const { calls, warnings } = named((record) => {
      record.add(SCMP_ARCH_X32, 39);
      record.add(X86_64, 0);
      record.add(X86_64, 41);
      record.addValue(41, 2n);
    });
    expect(calls.architectures).toEqual(["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"]);
    expect([...calls.names]).toEqual(["read", "getpid"]);
    expect(calls.values).toEqual(new Map([["socket", new Set([2n])]]));
    expect(warnings).toEqual([]);
  });

  test("a 32-bit call has no arguments, so that its name is allowed with all", () => {
    const { calls } = named((record) => {
      for (const [arch, number] of [
        [X86_64, 41],
        [X86, 359],
      ] as const)
        record.add(arch, number);
      record.addValue(41, 2n);
    });
    expect([[...calls.names], calls.values.size]).toEqual([["socket"], 0]);
  });

  test("warns of numbers without a name", () => {
    const { warnings } = named((record) => {
      record.add(X86_64, 1000);
      record.add(X86_64, 1024);
    });
    expect(warnings).toEqual([
      "no name is known for some calls, which the profile denies: number 1000 of SCMP_ARCH_X86_64, numbers that no system call has",
    ]);
  });

  test.each([
    [
      "too many",
      (record: CallRecord) =>
        Array.from({ length: MAX_VALUES + 1 }, (_, value) => record.addValue(41, BigInt(value))),
    ],
    ["lost", (record: CallRecord) => record.loseValues()],
  ])("warns of a call whose values are %s, and allows it with all", (_, fill) => {
    const { calls, warnings } = named((record) => {
      record.add(X86_64, 41);
      record.addValue(41, 1n);
      fill(record);
    });
    expect([[...calls.names], calls.values.size]).toEqual([["socket"], 0]);
    expect(warnings).toEqual([expect.stringContaining("allows socket with all arguments")]);
  });
});

describe("recordedProfile", () => {
  const calls = {
    architectures: ["SCMP_ARCH_X86_64"],
    names: new Set(["write", "read", "execve"]),
    values: new Map([
      ["socket", new Set([16n, 1n, 0xffff_ffff_ffff_fffen])],
      ["unshare", new Set([1n << 32n])],
      ["clone", new Set([0x10000000n])],
    ]),
  };

  test("allows what was made, in an order of its own, and what any start needs", () => {
    const { syscalls = [], ...rest } = recordedProfile(calls, true);
    expect(rest).toEqual({ defaultAction: "SCMP_ACT_ERRNO", architectures: ["SCMP_ARCH_X86_64"] });
    const one = (name: string, arg: object) => ({ ...allow([name]), args: [{ index: 0, ...arg }] });
    const exactly = (value: bigint) => ({ value, op: "SCMP_CMP_EQ" });
    const masked = (value: bigint, valueTwo: bigint) => ({ value, valueTwo, op: "SCMP_CMP_MASKED_EQ" });
    expect(syscalls.slice(0, -1)).toEqual([
      allow(["execve", "read", "write"]),
      one("socket", exactly(1n)),
      one("socket", exactly(16n)),
      // The kernel takes the domain as an int.
      one("socket", masked(0xffffffffn, 0xfffffffen)),
      one("unshare", exactly(1n << 32n)),
      one("clone", masked(0x7e020000n, 0n)),
      one("clone", masked(0x7e020000n, 0x10000000n)),
    ]);
    const needed = syscalls.at(-1)?.names ?? [];
    expect(needed).toEqual([...needed].sort());
    for (const name of ["exit_group", "rt_sigreturn", "restart_syscall", "close_range", "futex"])
      expect(needed).toContain(name);
    for (const name of ["execve", "clone", "setuid", "sigreturn"]) expect(needed).not.toContain(name);
  });

  test("without noNewPrivileges, runc and crun still change the user under the filter", () => {
    expect(recordedProfile(calls, false).syscalls?.at(-1)?.names).toEqual(
      expect.arrayContaining(["setuid", "capset", "setgroups"]),
    );
  });

  test("32-bit programs return from signal handlers by a call of their own", () => {
    expect(runtimeCalls({ noNewPrivileges: true, with32Bit: true })).toContain("sigreturn");
  });

  test("merging the same calls again changes nothing", () => {
    for (const noNewPrivileges of [true, false]) {
      const profile = recordedProfile(calls, noNewPrivileges);
      expect(mergeProfile(profile, calls, noNewPrivileges, silent)).toEqual(profile);
    }
  });

  test("of the watched calls, a runtime needs only clone, with 0: the profile would lack a value of any other", () => {
    const watched = runtimeCalls({ noNewPrivileges: false, with32Bit: true }).filter((name) =>
      Object.hasOwn(WATCHED_ARGUMENTS, name),
    );
    expect(watched).toEqual(["clone"]);
  });
});

describe("mergeProfile", () => {
  const calls = {
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    names: new Set(["umask", "sync"]),
    values: new Map([["personality", new Set([8n])]]),
  };

  test("keeps rules, errno and flags, and adds what is missing", () => {
    const profile: Seccomp = {
      defaultAction: "SCMP_ACT_KILL",
      architectures: ["SCMP_ARCH_X86"],
      flags: ["SECCOMP_FILTER_FLAG_LOG"],
      syscalls: [
        { names: ["kill"], action: "SCMP_ACT_LOG" },
        allow(["sync", "read"]),
        { ...allow(["personality"]), args: [{ index: 0, value: 0n, op: "SCMP_CMP_EQ" }] },
      ],
    };
    const merged = mergeProfile(profile, calls, true, silent);
    expect(merged).toMatchObject({
      defaultAction: "SCMP_ACT_KILL",
      architectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
      flags: ["SECCOMP_FILTER_FLAG_LOG"],
    });
    expect(merged.syscalls?.slice(0, 4)).toEqual([
      { names: ["kill"], action: "SCMP_ACT_LOG" },
      allow(["read", "sync", "umask"]),
      { ...allow(["personality"]), args: [{ index: 0, value: 0n, op: "SCMP_CMP_EQ" }] },
      { ...allow(["personality"]), args: [{ index: 0, value: 8n, op: "SCMP_CMP_EQ" }] },
    ]);
  });

  test("a call that is denied by name stays denied", () => {
    const profile: Seccomp = {
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [{ names: ["umask", "personality", "futex"], action: "SCMP_ACT_ERRNO" }],
    };
    const warnings: string[] = [];
    const { syscalls = [] } = mergeProfile(profile, calls, true, (message) => warnings.push(message));
    expect(warnings).toEqual([
      "the profile denies calls by name that the container has made: umask, personality",
    ]);
    const names = syscalls.slice(1).flatMap((rule) => rule.names);
    expect(names).toContain("sync");
    for (const name of ["umask", "personality", "futex"]) expect(names).not.toContain(name);
  });

  test("a call that is allowed already gets no rule for its arguments", () => {
    const profile: Seccomp = { defaultAction: "SCMP_ACT_ERRNO", syscalls: [allow(["personality"])] };
    const { syscalls = [] } = mergeProfile(profile, calls, true, silent);
    expect(syscalls.filter(({ names }) => names.includes("personality"))).toHaveLength(1);
  });

  test.each(["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"] as const)(
    "refuses a default action of %s",
    (defaultAction) => {
      expect(() => mergeProfile({ defaultAction }, calls, true, silent)).toThrow(
        `/defaultAction: ${defaultAction} lets all calls pass`,
      );
    },
  );
});
