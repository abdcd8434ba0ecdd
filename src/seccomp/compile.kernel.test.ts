import { describe, expect, it } from "vitest";
import { ENOSYS, EPERM } from "../../bindings/abi/errno.ts";
import { RuntsError } from "../errors.ts";
import type { Seccomp, SeccompArg, SeccompSyscall } from "../spec/types.ts";
import { runFilter } from "./bpf-interpreter.ts";
import { compileSeccomp, loadLibseccomp } from "./compile.ts";
import { actions, architectures } from "./constants.ts";
import { auditArch } from "./enosys.ts";
import { errno, ignore, library, native, number, profile, X32, X86, X86_64 } from "./filter.test-support.ts";

const ALLOW = 0x7fff0000;
const KILL_THREAD = 0;

/** The verdict of a profile for a call by name, with arguments 0 unless given. */
function answer(config: Seccomp, name: string, args: readonly bigint[] = [], arch = native): number {
  const { filter } = compileSeccomp(config, ignore);
  return runFilter(filter, { arch: auditArch(arch), nr: number(name, arch), args });
}

function failure(config: Seccomp): RuntsError {
  try {
    compileSeccomp(config, ignore);
  } catch (error) {
    if (error instanceof RuntsError) return error;
    throw error;
  }
  throw new Error("the profile was compiled");
}

describe("actions", () => {
  it.each([
    ["SCMP_ACT_KILL", undefined, 0],
    ["SCMP_ACT_KILL_THREAD", undefined, 0],
    ["SCMP_ACT_KILL_PROCESS", undefined, 0x80000000],
    ["SCMP_ACT_TRAP", undefined, 0x30000],
    ["SCMP_ACT_ERRNO", undefined, errno(EPERM)],
    ["SCMP_ACT_ERRNO", 0, errno(0)],
    ["SCMP_ACT_ERRNO", 100, errno(100)],
    ["SCMP_ACT_TRACE", undefined, 0x7ff00001],
    ["SCMP_ACT_TRACE", 42, 0x7ff0002a],
    ["SCMP_ACT_ALLOW", undefined, ALLOW],
    ["SCMP_ACT_LOG", undefined, 0x7ffc0000],
    ["SCMP_ACT_NOTIFY", undefined, 0x7fc00000],
  ] as const)("%s with errnoRet %s", (action, errnoRet, verdict) => {
    const rule = { names: ["mkdirat"], action, ...(errnoRet !== undefined && { errnoRet }) };
    const asRule = profile([rule], { defaultErrnoRet: 77 });
    expect(answer(asRule, "mkdirat")).toBe(verdict);
    expect(answer(asRule, "chdir")).toBe(errno(77));
    const args: SeccompArg[] = [{ index: 0, op: "SCMP_CMP_EQ", value: 5n }];
    expect(answer(profile([{ ...rule, args }], { defaultErrnoRet: 77 }), "mkdirat", [5n])).toBe(verdict);
    const asDefault: Seccomp = {
      defaultAction: action,
      ...(errnoRet !== undefined && { defaultErrnoRet: errnoRet }),
    };
    expect(answer(asDefault, "mkdirat")).toBe(verdict);
  });

  it("include all of the spec", () => {
    expect(Object.keys(actions)).toHaveLength(9);
  });

  it("request a listener from the kernel if SCMP_ACT_NOTIFY is in use", () => {
    const NEW_LISTENER = 8;
    const flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] as const;
    const compiled = (config: Seccomp) => compileSeccomp(config, ignore);
    const inUse = profile([{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }], { flags });
    expect(compiled(inUse)).toMatchObject({ notifies: true, flags: NEW_LISTENER | 32 });
    expect(compiled(profile([{ names: ["mkdir"], action: "SCMP_ACT_LOG" }]))).toMatchObject({
      notifies: false,
      flags: 4,
    });
    expect(compiled({ defaultAction: "SCMP_ACT_NOTIFY", flags: [] })).toMatchObject({
      notifies: true,
      flags: NEW_LISTENER,
    });
  });

  it("fail with an errno for an action that has none", () => {
    expect(failure({ defaultAction: "SCMP_ACT_KILL", defaultErrnoRet: 1 }).pointer).toBe(
      "/linux/seccomp/defaultErrnoRet",
    );
    const second: SeccompSyscall = { names: ["mkdir"], action: "SCMP_ACT_ALLOW", errnoRet: 1 };
    expect(failure(profile([{ names: ["rmdir"], action: "SCMP_ACT_ALLOW" }, second])).pointer).toBe(
      "/linux/seccomp/syscalls/1/errnoRet",
    );
  });

  it("fail with an errno that a verdict cannot carry", () => {
    expect(failure({ defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 65536 }).pointer).toBe(
      "/linux/seccomp/defaultErrnoRet",
    );
  });

  it("are skipped in a rule if they are the default action", () => {
    const rules: SeccompSyscall[] = [
      { names: ["mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 1 },
      { names: ["mkdirat"], action: "SCMP_ACT_ALLOW" },
    ];
    expect(answer(profile(rules), "mkdirat")).toBe(ALLOW);
    const args: SeccompArg[] = [{ index: 0, op: "SCMP_CMP_EQ", value: 5n }];
    expect(answer(profile([{ names: ["mkdirat"], action: "SCMP_ACT_ERRNO", args }]), "mkdirat", [5n])).toBe(
      errno(EPERM),
    );
  });
});

describe("operators", () => {
  const big = 0x1_0000_0002n;
  it.each([
    ["SCMP_CMP_NE", big, 0n, [big], [2n, big + 1n, 0n]],
    ["SCMP_CMP_LT", big, 0n, [big, big + 1n, 0xffffffffffffffffn], [big - 1n, 0n, 3n]],
    ["SCMP_CMP_LE", big, 0n, [big + 1n, 0x2_0000_0000n], [big, 0n, 0xffffffffn]],
    ["SCMP_CMP_EQ", big, 0n, [2n, 0n, 0x1_0000_0003n], [big]],
    ["SCMP_CMP_EQ", 0xffffffffffffffffn, 0n, [0n, 0xffffffffn], [0xffffffffffffffffn]],
    ["SCMP_CMP_GE", big, 0n, [big - 1n, 3n], [big, big + 1n, 0x2_0000_0000n]],
    ["SCMP_CMP_GT", big, 0n, [big, 3n], [big + 1n, 0x8000_0000_0000_0000n]],
    [
      "SCMP_CMP_MASKED_EQ",
      0xff00_0000_00ffn,
      0x1200_0000_0034n,
      [0x1200_0000_0035n, 0x34n],
      [0x1212_3456_7834n],
    ],
  ] as const)("%s %s", (op, value, valueTwo, others, matching) => {
    const rule: SeccompSyscall = {
      names: ["keyctl"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 5, op, value, valueTwo }],
    };
    const { filter } = compileSeccomp(profile([rule]), ignore);
    const verdicts = (values: readonly bigint[]) =>
      values.map((arg) =>
        runFilter(filter, { arch: native, nr: number("keyctl"), args: [0n, 0n, 0n, 0n, 0n, arg] }),
      );
    expect(verdicts(others)).toEqual(others.map(() => errno(EPERM)));
    expect(verdicts(matching)).toEqual(matching.map(() => ALLOW));
  });

  it("compare with 0 if valueTwo is missing", () => {
    const args: SeccompArg[] = [{ index: 0, op: "SCMP_CMP_MASKED_EQ", value: 0x7e020000n }];
    const config = profile([{ names: ["clone"], action: "SCMP_ACT_ALLOW", args }]);
    expect(answer(config, "clone", [0x11n])).toBe(ALLOW);
    expect(answer(config, "clone", [0x10000011n])).toBe(errno(EPERM));
  });

  it("all have to hold in a rule", () => {
    const args: SeccompArg[] = [
      { index: 0, op: "SCMP_CMP_EQ", value: 16n },
      { index: 2, op: "SCMP_CMP_EQ", value: 9n },
    ];
    const config = profile([{ names: ["keyctl"], action: "SCMP_ACT_ALLOW", args }]);
    expect(answer(config, "keyctl", [16n, 0n, 9n])).toBe(ALLOW);
    expect(answer(config, "keyctl", [16n, 0n, 8n])).toBe(errno(EPERM));
    expect(answer(config, "keyctl", [15n, 0n, 9n])).toBe(errno(EPERM));
  });

  it("are alternatives if two compare the same argument", () => {
    const args: SeccompArg[] = [
      { index: 0, op: "SCMP_CMP_EQ", value: 1n },
      { index: 0, op: "SCMP_CMP_EQ", value: 3n },
      { index: 1, op: "SCMP_CMP_EQ", value: 7n },
    ];
    const config = profile([{ names: ["keyctl"], action: "SCMP_ACT_ALLOW", args }]);
    expect(answer(config, "keyctl", [1n])).toBe(ALLOW);
    expect(answer(config, "keyctl", [3n])).toBe(ALLOW);
    expect(answer(config, "keyctl", [2n, 7n])).toBe(ALLOW);
    expect(answer(config, "keyctl", [2n, 6n])).toBe(errno(EPERM));
  });

  it("fail on a seventh argument", () => {
    const args: SeccompArg[] = [{ index: 6, op: "SCMP_CMP_EQ", value: 1n }];
    expect(failure(profile([{ names: ["keyctl"], action: "SCMP_ACT_ALLOW", args }])).pointer).toBe(
      "/linux/seccomp/syscalls/0/args/0/index",
    );
  });
});

describe("names", () => {
  it("may be missing in a rule, which is skipped with a warning", () => {
    const warnings: string[] = [];
    const rules: SeccompSyscall[] = [
      { names: [], action: "SCMP_ACT_KILL" },
      { names: ["mkdirat"], action: "SCMP_ACT_ALLOW" },
    ];
    const { filter } = compileSeccomp(profile(rules), (message) => warnings.push(message));
    expect(runFilter(filter, { arch: native, nr: number("mkdirat") })).toBe(ALLOW);
    expect(warnings).toEqual(["/linux/seccomp/syscalls/0/names: is empty: the rule has no effect"]);
  });

  it("are ignored if unknown, with one warning", () => {
    const warnings: string[] = [];
    const rule: SeccompSyscall = { names: ["no_such_call", "mkdirat", "nor_this"], action: "SCMP_ACT_ALLOW" };
    const { filter } = compileSeccomp(profile([rule]), (message) => warnings.push(message));
    expect(runFilter(filter, { arch: native, nr: number("mkdirat") })).toBe(ALLOW);
    expect(warnings).toEqual([
      "seccomp: system calls unknown to libseccomp are ignored: no_such_call, nor_this",
    ]);
  });

  it("of other architectures are ignored without a warning", () => {
    const warnings: string[] = [];
    const rule: SeccompSyscall = { names: ["_llseek", "arm_fadvise64_64"], action: "SCMP_ACT_ALLOW" };
    compileSeccomp(profile([rule]), (message) => warnings.push(message));
    expect(warnings).toEqual([]);
  });
});

describe("flags", () => {
  const SPEC_ALLOW = 4;
  it.each([
    [undefined, SPEC_ALLOW],
    [[], 0],
    [["SECCOMP_FILTER_FLAG_TSYNC"], 0],
    [["SECCOMP_FILTER_FLAG_LOG"], 2],
    [["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], 6],
    [["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_LOG"], 2],
  ] as const)("%j", (flags, bits) => {
    expect(compileSeccomp(profile([], flags === undefined ? {} : { flags }), ignore).flags).toBe(bits);
  });

  it("warn if one has no effect without a listener", () => {
    const warnings: string[] = [];
    const flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] as const;
    compileSeccomp(profile([], { flags }), (message) => warnings.push(message));
    expect(warnings).toEqual([
      "/linux/seccomp/flags/0: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV has no effect without SCMP_ACT_NOTIFY",
    ]);
  });
});

describe("architectures", () => {
  it("always include the native one", () => {
    const other = native === X86_64 ? "SCMP_ARCH_X86" : "SCMP_ARCH_ARM";
    const config = profile([{ names: ["mkdirat"], action: "SCMP_ACT_ALLOW" }], { architectures: [other] });
    expect(answer(config, "mkdirat")).toBe(ALLOW);
    expect(answer(config, "mkdirat", [], architectures[other])).toBe(ALLOW);
  });

  it("not in the profile are killed", () => {
    const { filter } = compileSeccomp(profile([{ names: ["mkdirat"], action: "SCMP_ACT_ALLOW" }]), ignore);
    expect(runFilter(filter, { arch: 0x12345678, nr: 1 })).toBe(KILL_THREAD);
    if (native === X86_64) {
      expect(runFilter(filter, { arch: X86_64, nr: number("mkdirat", X32) })).toBe(KILL_THREAD);
    }
  });

  it.each(Object.entries(architectures))("%s is known to libseccomp", (name, token) => {
    // A number for read(2) means that libseccomp knows the architecture.
    expect(number("read", token), name).toBeGreaterThanOrEqual(0);
  });

  it("are 23, and unknown ones fail", () => {
    expect(Object.keys(architectures)).toHaveLength(23);
    expect(failure(profile([], { architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_VAX"] }))).toMatchObject({
      pointer: "/linux/seccomp/architectures/1",
      message: '/linux/seccomp/architectures/1: unknown seccomp architecture "SCMP_ARCH_VAX"',
    });
    expect(failure(profile([], { architectures: ["constructor"] })).pointer).toBe(
      "/linux/seccomp/architectures/0",
    );
  });

  it("of the other byte order fail", () => {
    expect(failure(profile([], { architectures: ["SCMP_ARCH_S390X"] })).pointer).toBe(
      "/linux/seccomp/architectures/0",
    );
  });
});

describe("system calls newer than the profile", () => {
  const architecturesOfX86 = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];
  const config = profile([{ names: ["read", "execveat"], action: "SCMP_ACT_ALLOW" }], {
    architectures: architecturesOfX86,
    defaultErrnoRet: 1,
  });

  it.runIf(native === X86_64)("answer ENOSYS on every architecture of the profile", () => {
    const { filter } = compileSeccomp(config, ignore);
    for (const arch of [X86_64, X86, X32]) {
      const highest = number("execveat", arch);
      const at = (nr: number) => runFilter(filter, { arch: auditArch(arch), nr });
      expect([at(highest - 1), at(highest), at(highest + 1)]).toEqual([errno(EPERM), ALLOW, errno(ENOSYS)]);
    }
  });

  it("are those newer than any name, even if its rule has the default action", () => {
    const rules: SeccompSyscall[] = [{ names: ["openat2"], action: "SCMP_ACT_ERRNO", errnoRet: 1 }];
    expect(answer(profile(rules), "openat2")).toBe(errno(EPERM));
    expect(answer(profile(rules), "faccessat2")).toBe(errno(ENOSYS));
  });

  it("are allowed by a default action that allows", () => {
    const rules: SeccompSyscall[] = [{ names: ["read"], action: "SCMP_ACT_KILL" }];
    expect(answer({ defaultAction: "SCMP_ACT_ALLOW", syscalls: rules }, "openat2")).toBe(ALLOW);
  });
});

describe("libseccomp", () => {
  it("exports the same program with and without seccomp_export_bpf_mem", () => {
    using context = library.createFilter(ALLOW);
    context.addRule(errno(EPERM), number("mkdirat"), []);
    const program = context.exportBpf();
    expect(program.length).toBeGreaterThan(0);
    expect(context.exportBpfThroughMemfd()).toEqual(program);
  });

  it("is named if missing, with what to install", () => {
    expect(() => loadLibseccomp("libseccomp-none.so.9")).toThrow(
      expect.objectContaining({
        pointer: "/linux/seccomp",
        message: expect.stringMatching(/libseccomp-none\.so\.9 could not be loaded.*libseccomp2/),
      }),
    );
  });
});
