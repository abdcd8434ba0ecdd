import { describe, expect, it } from "vitest";
import type { Seccomp } from "../spec/types.ts";
import { tracedProfile } from "./trace-profile.ts";

describe("tracedProfile", () => {
  it("notifies instead of denying, and leaves other actions alone", () => {
    const profile: Seccomp = {
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 38,
      architectures: ["SCMP_ARCH_X86_64"],
      syscalls: [
        { names: ["read"], action: "SCMP_ACT_ALLOW" },
        { names: ["mount"], action: "SCMP_ACT_KILL_PROCESS" },
        { names: ["bpf", "execve"], action: "SCMP_ACT_ERRNO", errnoRet: 5 },
      ],
    };
    expect(tracedProfile(profile)).toEqual({
      defaultAction: "SCMP_ACT_NOTIFY",
      architectures: ["SCMP_ARCH_X86_64"],
      syscalls: [
        { names: ["read"], action: "SCMP_ACT_ALLOW" },
        { names: ["mount"], action: "SCMP_ACT_NOTIFY" },
        { names: ["bpf"], action: "SCMP_ACT_NOTIFY" },
        { names: ["execve"], action: "SCMP_ACT_ERRNO", errnoRet: 5 },
      ],
    });
  });

  it("keeps the default action for execve, for which the runtime waits", () => {
    const profile: Seccomp = { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 7, syscalls: [] };
    expect(tracedProfile(profile).syscalls).toEqual([
      { names: ["execve"], action: "SCMP_ACT_ERRNO", errnoRet: 7 },
    ]);
  });

  it("keeps a default action that allows calls", () => {
    const profile: Seccomp = {
      defaultAction: "SCMP_ACT_LOG",
      syscalls: [{ names: ["x"], action: "SCMP_ACT_TRAP" }],
    };
    expect(tracedProfile(profile)).toEqual({
      defaultAction: "SCMP_ACT_LOG",
      syscalls: [{ names: ["x"], action: "SCMP_ACT_NOTIFY" }],
    });
  });

  it("refuses a profile with a listener of its own", () => {
    const profile: Seccomp = { defaultAction: "SCMP_ACT_NOTIFY" };
    expect(() => tracedProfile(profile)).toThrow(/^\/linux\/seccomp: --seccomp-trace can't be used/);
  });
});
