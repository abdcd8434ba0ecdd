import { describe, expect, it } from "vitest";
import { ENOSYS } from "../../bindings/abi/errno.ts";
import type { Seccomp, SeccompArg, SeccompSyscall } from "../spec/types.ts";
import { runFilter } from "./bpf-interpreter.ts";
import { compileSeccomp } from "./compile.ts";
import { architectures } from "./constants.ts";
import { auditArch, hidesNewerSyscalls, newerThanProfile } from "./enosys.ts";
import { errno, ignore, library, native, number, profile, X32, X86, X86_64 } from "./filter.test-support.ts";
import { readProfile } from "./profile.ts";

const AARCH64 = 0xc00000b7;

/** Compiles a profile with libseccomp alone, rule by rule, and so without the ENOSYS ranges. */
function compileByLibseccompAlone(config: Seccomp): Uint8Array {
  const { defaultVerdict, architectures: archs, rules } = readProfile(config, ignore);
  using context = library.createFilter(defaultVerdict);
  for (const arch of archs) context.addArch(arch);
  for (const rule of rules) {
    if (rule.verdict === defaultVerdict) continue;
    for (const name of rule.names) {
      if (number(name) === -1) continue;
      const alternatives = rule.alternatives.length === 0 ? [[]] : rule.alternatives;
      for (const comparisons of alternatives) context.addRule(rule.verdict, number(name), comparisons);
    }
  }
  return context.exportBpf();
}

/** Numbers around all boundaries that matter: of the tables, of x32, and of 32 bits. */
const everyNumber = [0, 0x40000000, 0x80000000, 0xc0000000, 0xfffffd00].flatMap((base) =>
  Array.from({ length: 0x300 }, (_, i) => base + i),
);

/** Compares the verdicts of both filters for the numbers on every architecture, with each list of arguments. */
function expectSameAsLibseccomp(
  config: Seccomp,
  argLists: readonly (readonly bigint[])[],
  numbers: readonly number[] = everyNumber,
): void {
  const { filter } = compileSeccomp(config, ignore);
  const reference = compileByLibseccompAlone(config);
  const archs = [
    ...new Set([native, ...(config.architectures ?? []).map((name) => architectures[name] ?? 0)]),
  ];
  const highest = new Map<number, number>();
  const names = config.syscalls?.flatMap((syscall) => syscall.names) ?? [];
  for (const arch of archs) highest.set(arch, Math.max(0, ...names.map((name) => number(name, arch))));
  const audits = new Set([...archs.map(auditArch), X86, X86_64, AARCH64, 0x12345678]);
  for (const arch of audits) {
    const known = archs.some((token) => auditArch(token) === arch);
    const newer = known && hidesNewerSyscalls(config.defaultAction) ? newerThanProfile(arch, highest) : [];
    for (const nr of numbers) {
      const hidden = newer.some(({ first, last }) => nr >= first && nr <= last);
      for (const args of argLists) {
        const expected = hidden ? errno(ENOSYS) : runFilter(reference, { arch, nr, args });
        const actual = runFilter(filter, { arch, nr, args });
        if (actual !== expected) {
          const call = `arch 0x${arch.toString(16)} nr ${nr} args ${args.join()}`;
          expect.fail(`${call}: 0x${actual.toString(16)}, libseccomp says 0x${expected.toString(16)}`);
        }
      }
    }
  }
}

describe("the same answers as libseccomp alone", () => {
  const archs =
    native === X86_64 ? ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"] : ["SCMP_ARCH_AARCH64"];
  const argLists = [0n, 1n, 2n, 3n, 9n, 16n, 23n, 40n]
    .map((first) => [first, 0n, 9n])
    .concat([[16n, 0n, 8n]]);
  /** Operations of socketcall and ipc. */
  const operations = Array.from({ length: 25 }, (_, i) => [BigInt(i)]);
  const allow = (...names: string[]): SeccompSyscall => ({ names, action: "SCMP_ACT_ALLOW" });
  const args: SeccompArg[] = [{ index: 0, op: "SCMP_CMP_NE", value: 40n }];

  it("for an empty profile", () => {
    expectSameAsLibseccomp(profile([], { architectures: archs }), argLists);
    expectSameAsLibseccomp(profile([]), argLists);
  });

  it("for rules with and without arguments for one call, in either order", () => {
    const withArgs: SeccompSyscall = { names: ["keyctl", "clone"], action: "SCMP_ACT_TRAP", args };
    const without = allow("keyctl", "clone", "read");
    expectSameAsLibseccomp(profile([withArgs, without], { architectures: archs }), argLists);
    expectSameAsLibseccomp(profile([without, withArgs], { architectures: archs }), argLists);
  });

  it("for a comparison that always holds", () => {
    const always: SeccompArg = { index: 0, op: "SCMP_CMP_MASKED_EQ", value: 0n, valueTwo: 40n };
    const trap: SeccompSyscall = { names: ["keyctl", "read"], action: "SCMP_ACT_TRAP", args: [always] };
    expectSameAsLibseccomp(profile([trap, allow("keyctl", "read")], { architectures: archs }), argLists);
  });

  it("for two rules for one call", () => {
    const trap: SeccompSyscall = { names: ["keyctl"], action: "SCMP_ACT_TRAP" };
    expectSameAsLibseccomp(profile([trap, allow("keyctl", "read")]), argLists);
    expectSameAsLibseccomp(profile([allow("keyctl", "read"), trap]), argLists);
  });

  it.each([
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg",
    "send sendmmsg sendmsg sendto setsockopt shutdown socket socketpair",
    "msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget",
    "write ioctl ptrace rt_sigaction execve _llseek mmap2 vm86 prlimit64 statx openat2",
  ])("for each of %s, which may be multiplexed", (names) => {
    const ofMultiplexers = [number("socketcall", X86), number("ipc", X86)];
    for (const name of names.split(" ")) {
      const own = [native, X86, X32].map((arch) => number(name, arch)).filter((nr) => nr >= 0);
      const numbers = [...ofMultiplexers, ...own].flatMap((nr) => [nr, nr + 1]);
      expectSameAsLibseccomp(profile([allow(name)], { architectures: archs }), operations, numbers);
    }
  });

  it("for a profile like those of engines", () => {
    const names =
      "read write openat close mmap mmap2 _llseek stat64 ioctl execve execveat clock_gettime64 futex statx socketcall";
    const eq = (value: bigint): SeccompArg => ({ index: 0, op: "SCMP_CMP_EQ", value });
    const rules: SeccompSyscall[] = [
      allow(...names.split(" "), "semop", "shmat", "connect", "openat2"),
      ...[0n, 8n, 16n].map((value) => ({ ...allow("personality"), args: [eq(value)] })),
      { ...allow("clone"), args: [{ index: 0, op: "SCMP_CMP_MASKED_EQ", value: 0x7e020000n, valueTwo: 0n }] },
      { names: ["socket"], action: "SCMP_ACT_ERRNO", errnoRet: 22, args: [eq(16n), { ...eq(9n), index: 2 }] },
      { ...allow("socket"), args: [{ index: 2, op: "SCMP_CMP_NE", value: 9n }] },
      { ...allow("socket"), args: [{ index: 0, op: "SCMP_CMP_NE", value: 16n }] },
      { names: ["bpf", "mkdir"], action: "SCMP_ACT_ERRNO", errnoRet: 1 },
      { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38 },
    ];
    for (const defaultErrnoRet of [1, 38]) {
      expectSameAsLibseccomp(profile(rules, { architectures: archs, defaultErrnoRet }), argLists);
    }
  });

  it("for arguments beside calls that an architecture does not have", () => {
    const mask: SeccompArg = { index: 0, op: "SCMP_CMP_MASKED_EQ", value: 0x7e020000n };
    const others = allow("access", "connect", "ipc", "read", "semop", "socketcall", "waitpid");
    const rules = [others, { ...allow("clone"), args: [mask] }];
    expectSameAsLibseccomp(profile(rules, { architectures: archs }), argLists);
  });

  it("for multiplexed calls that another rule decides", () => {
    const trap: SeccompSyscall = { names: ["socketcall"], action: "SCMP_ACT_TRAP" };
    expectSameAsLibseccomp(profile([allow("connect", "shmat"), trap], { architectures: archs }), operations);
    const denied: SeccompSyscall = { names: ["connect", "ipc"], action: "SCMP_ACT_ERRNO", errnoRet: 13 };
    const allowAll: Seccomp = { defaultAction: "SCMP_ACT_ALLOW", architectures: archs, syscalls: [denied] };
    expectSameAsLibseccomp(allowAll, operations);
  });
});
