import { expect, test } from "vitest";
import { notifyingProfile } from "./notifying-profile.ts";

const X86_64 = 0xc000003e;
const AARCH64 = 0xc00000b7;
const EXECVE = { names: ["execve"], action: "SCMP_ACT_ALLOW" };

test("without a profile, all calls but execve are notified, of each architecture that the kernel has", () => {
  const own = { defaultAction: "SCMP_ACT_NOTIFY", syscalls: [EXECVE] };
  expect(notifyingProfile(undefined, X86_64)).toEqual({
    ...own,
    architectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32"],
  });
  expect(notifyingProfile(undefined, AARCH64)).toEqual({
    ...own,
    architectures: ["SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64"],
  });
});

test("a profile that denies by default: what its rules allow is notified, execve aside", () => {
  const denied = { names: ["kill"], action: "SCMP_ACT_ERRNO", errnoRet: 13 } as const;
  const args = [{ index: 0, value: 8n, op: "SCMP_CMP_EQ" }] as const;
  const profile = {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 38,
    syscalls: [
      { names: ["read", "execve"], action: "SCMP_ACT_ALLOW" },
      denied,
      { names: ["personality"], action: "SCMP_ACT_LOG", args },
    ],
  } as const;
  expect(notifyingProfile(profile, X86_64)).toEqual({
    ...profile,
    syscalls: [
      { names: ["read"], action: "SCMP_ACT_NOTIFY" },
      EXECVE,
      denied,
      { names: ["personality"], action: "SCMP_ACT_NOTIFY", args },
    ],
  });
});

test("a profile that allows by default: execve keeps its own rule, or gets one", () => {
  const denied = { names: ["execve", "kill"], action: "SCMP_ACT_ERRNO" } as const;
  const profile = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [denied] } as const;
  const notifying = { ...profile, defaultAction: "SCMP_ACT_NOTIFY" };
  expect(notifyingProfile(profile, X86_64)).toEqual(notifying);
  expect(notifyingProfile({ ...profile, syscalls: [] }, X86_64)).toEqual({
    ...notifying,
    syscalls: [EXECVE],
  });
});

test("refuses a profile with a listener of its own", () => {
  for (const profile of [
    { defaultAction: "SCMP_ACT_NOTIFY" },
    { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["mount"], action: "SCMP_ACT_NOTIFY" }] },
  ] as const)
    expect(() => notifyingProfile(profile, X86_64)).toThrow(
      /^\/linux\/seccomp: --seccomp-record can't be used/,
    );
});
