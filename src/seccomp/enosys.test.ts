import { describe, expect, it } from "vitest";
import { architectures, SCMP_ARCH_X32 } from "./constants.ts";
import { auditArch, hidesNewerSyscalls, newerThanProfile } from "./enosys.ts";

const X86_64 = architectures.SCMP_ARCH_X86_64 ?? 0;
const AARCH64 = architectures.SCMP_ARCH_AARCH64 ?? 0;
const S390X = architectures.SCMP_ARCH_S390X ?? 0;

describe("hidesNewerSyscalls", () => {
  it.each(["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"])("is off for %s", (action) => {
    expect(hidesNewerSyscalls(action)).toBe(false);
  });

  it.each(["SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])(
    "is on for %s",
    (action) => {
      expect(hidesNewerSyscalls(action)).toBe(true);
    },
  );
});

describe("newerThanProfile", () => {
  it("is everything above the highest number", () => {
    expect(newerThanProfile(AARCH64, new Map([[AARCH64, 400]]))).toEqual([{ first: 401, last: 0xffffffff }]);
  });

  it("is empty for an architecture on which the profile names nothing", () => {
    expect(newerThanProfile(AARCH64, new Map([[AARCH64, 0]]))).toEqual([]);
    expect(newerThanProfile(X86_64, new Map())).toEqual([]);
  });

  it("leaves x32 numbers alone when the profile is not for x32", () => {
    expect(newerThanProfile(X86_64, new Map([[X86_64, 450]]))).toEqual([
      { first: 451, last: 0x3fffffff },
      { first: 0x80000000, last: 0xbfffffff },
    ]);
  });

  it("has separate ranges for x32", () => {
    const highest = new Map([
      [X86_64, 450],
      [SCMP_ARCH_X32, 0x40000221],
    ]);
    expect(newerThanProfile(X86_64, highest)).toEqual([
      { first: 451, last: 0x3fffffff },
      { first: 0x40000222, last: 0x7fffffff },
      { first: 0x80000000, last: 0xbfffffff },
      { first: 0xc0000000, last: 0xffffffff },
    ]);
  });

  it("includes number 0 on s390x, which stands for numbers the kernel does not know", () => {
    expect(newerThanProfile(S390X, new Map([[S390X, 400]]))).toEqual([
      { first: 0, last: 0 },
      { first: 401, last: 0xffffffff },
    ]);
  });
});

describe("auditArch", () => {
  it("is libseccomp's token, except for x32", () => {
    expect(auditArch(AARCH64)).toBe(AARCH64);
    expect(auditArch(SCMP_ARCH_X32)).toBe(X86_64);
  });
});
