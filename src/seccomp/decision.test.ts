import { describe, expect, it } from "vitest";
import type { Seccomp } from "../spec/types.ts";
import { describeVerdict, explainVerdict } from "./decision.ts";
import { readProfile } from "./profile.ts";

const ALLOW = 0x7fff0000;
const errno = (number: number) => 0x50000 + number;
const config: Seccomp = {
  defaultAction: "SCMP_ACT_ERRNO",
  syscalls: [
    { names: ["read", "write"], action: "SCMP_ACT_ALLOW" },
    {
      names: ["clone"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 0, value: 0x7e020000n, valueTwo: 0n, op: "SCMP_CMP_MASKED_EQ" }],
    },
    { names: ["socket"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value: 16n, op: "SCMP_CMP_LT" }] },
    {
      names: ["socket"],
      action: "SCMP_ACT_ERRNO",
      errnoRet: 97,
      args: [{ index: 0, value: 16n, op: "SCMP_CMP_GE" }],
    },
  ],
};
const profile = readProfile(config, () => undefined);
const explain = (name: string, args: readonly bigint[], verdict: number) =>
  explainVerdict(profile, name, args, verdict);

describe("explainVerdict", () => {
  it("names the rule that matches", () => {
    expect(explain("write", [], ALLOW)).toMatchObject({
      allowed: true,
      action: "SCMP_ACT_ALLOW",
      pointer: "/linux/seccomp/syscalls/0",
    });
    expect(explain("socket", [16n], errno(97))).toMatchObject({
      allowed: false,
      action: "SCMP_ACT_ERRNO EAFNOSUPPORT",
      pointer: "/linux/seccomp/syscalls/3",
    });
  });

  it("says why rules do not match, and that the default action decides", () => {
    const { pointer, reason, rules } = explain("clone", [0x10000000n], errno(1));
    expect([pointer, reason]).toEqual(["/linux/seccomp/defaultAction", "no rule matches these arguments"]);
    expect(rules).toEqual([
      {
        pointer: "/linux/seccomp/syscalls/1",
        action: "SCMP_ACT_ALLOW",
        matches: false,
        reason: "argument 0: 0x10000000 & 0x7e020000 is 0x10000000, not 0x0",
      },
    ]);
    expect(explain("socket", [16n], errno(97)).rules[0]?.reason).toBe("argument 0: not 0x10 < 0x10");
  });

  it("names a call that no rule names, and one that is newer than the profile", () => {
    expect(explain("mount", [], errno(1)).reason).toBe("no rule names mount");
    expect(explain("mseal", [], errno(38))).toMatchObject({ pointer: "/linux/seccomp" });
  });

  it.each([
    ["SCMP_CMP_NE", 5n, false],
    ["SCMP_CMP_EQ", 5n, true],
    ["SCMP_CMP_LT", 5n, false],
    ["SCMP_CMP_LE", 5n, true],
    ["SCMP_CMP_GE", 5n, true],
    ["SCMP_CMP_GT", 5n, false],
  ] as const)("%s of equal values: %s matches %s", (op, value, matches) => {
    const one: Seccomp = {
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [{ names: ["x"], action: "SCMP_ACT_ALLOW", args: [{ index: 1, value, op }] }],
    };
    const decision = explainVerdict(
      readProfile(one, () => undefined),
      "x",
      [0n, 5n],
      matches ? ALLOW : errno(1),
    );
    expect(decision.rules[0]?.matches).toBe(matches);
  });
});

describe("describeVerdict", () => {
  it.each([
    [0x80000000, "SCMP_ACT_KILL_PROCESS"],
    [0, "SCMP_ACT_KILL_THREAD"],
    [0x7ff00005, "SCMP_ACT_TRACE 5"],
    [0x7fc00000, "SCMP_ACT_NOTIFY"],
    [errno(13), "SCMP_ACT_ERRNO EACCES"],
  ])("describes 0x%x as %s", (verdict, text) => {
    expect(describeVerdict(verdict)).toBe(text);
  });
});
