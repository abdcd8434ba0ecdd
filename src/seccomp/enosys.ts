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
 * Whether system calls newer than the profile must be answered with ENOSYS: libc falls back to an older call upon ENOSYS,
 * but takes EPERM for an answer. A default action that lets calls pass needs no such help, and a tracer or a listener answers
 * itself.
 */
export function hidesNewerSyscalls(defaultAction: string): boolean {
  return !["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"].includes(defaultAction);
}

/** The kernel's architecture (AUDIT_ARCH_*) for libseccomp's token. */
export function auditArch(token: number): number {
  return token === SCMP_ARCH_X32 ? AUDIT_ARCH_X86_64 : token;
}

/**
 * The numbers above the highest that the profile names, for the architectures that share one AUDIT_ARCH. An architecture
 * of which the profile names nothing (or nothing but number 0) has no profile to be newer than, and is left alone.
 */
export function newerThanProfile(audit: number, highest: HighestNumbers): NumberRange[] {
  if (audit === AUDIT_ARCH_X86_64) return newerThanX86Profile(highest);
  const named = highest.get(audit) ?? 0;
  if (named <= 0) return [];
  const ranges = [{ first: named + 1, last: 0xffffffff }];
  // Number 0 is setup(2), which nobody calls, and what the kernel reports for an s390 number that it does not know.
  if (audit === architectures.SCMP_ARCH_S390 || audit === architectures.SCMP_ARCH_S390X) {
    ranges.unshift({ first: 0, last: 0 });
  }
  return ranges;
}

/** x32 numbers are those with bit 30, whatever bit 31 is, so each of the two has two ranges. */
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
