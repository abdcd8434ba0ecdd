import { AUDIT_ARCH_X86_64 } from "../../bindings/abi/seccomp.ts";
import { architectures, SCMP_ARCH_X32, X32_SYSCALL_BIT } from "./constants.ts";

/** An inclusive range of system call numbers. */
export interface NumberRange {
  readonly first: number;
  readonly last: number;
}

/** The highest number that a profile names, by libseccomp's architecture token. */
export type HighestNumbers = ReadonlyMap<number, number>;

/**
 * Whether system calls newer than the profile must fail with ENOSYS: libc falls back to an older call upon ENOSYS, but reports EPERM to
 * the program. Not needed if the default action allows calls, or leaves the answer to a tracer or listener.
 */
export function hidesNewerSyscalls(defaultAction: string): boolean {
  return !["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"].includes(defaultAction);
}

/** Converts libseccomp's token to the kernel's architecture (AUDIT_ARCH_*). */
export function auditArch(token: number): number {
  return token === SCMP_ARCH_X32 ? AUDIT_ARCH_X86_64 : token;
}

/**
 * The numbers above the highest that the profile names, for the architectures that share one AUDIT_ARCH. Empty for an architecture on
 * which the profile names no call, or only number 0.
 */
export function newerThanProfile(audit: number, highest: HighestNumbers): NumberRange[] {
  if (audit === AUDIT_ARCH_X86_64) return newerThanX86Profile(highest);
  const named = highest.get(audit) ?? 0;
  if (named <= 0) return [];
  const ranges = [{ first: named + 1, last: 0xffffffff }];
  // Number 0 is setup(2), which nobody calls. On s390, the kernel reports unknown numbers as 0.
  if (audit === architectures.SCMP_ARCH_S390 || audit === architectures.SCMP_ARCH_S390X) {
    ranges.unshift({ first: 0, last: 0 });
  }
  return ranges;
}

/** x32 numbers have bit 30 set, whatever bit 31 is, so x86-64 and x32 have two ranges each. */
function newerThanX86Profile(highest: HighestNumbers): NumberRange[] {
  const x86 = highest.get(AUDIT_ARCH_X86_64) ?? 0;
  const x32 = highest.get(SCMP_ARCH_X32) ?? 0;
  const ranges: NumberRange[] = [];
  if (x86 > 0) ranges.push({ first: x86 + 1, last: X32_SYSCALL_BIT - 1 });
  if (x32 > 0) ranges.push({ first: x32 + 1, last: 0x7fffffff });
  if (x86 > 0) ranges.push({ first: 0x80000000, last: 0xbfffffff });
  if (x32 > 0) ranges.push({ first: 0xc0000000, last: 0xffffffff });
  return ranges;
}
