import type { Seccomp, SeccompSyscall } from "../spec/types.ts";
import { openOrExplain } from "./compile.ts";

/** Of the kernel tests of filters: libseccomp of this machine, and the numbers that filters speak of. */

export const library = openOrExplain();
export const native = library.nativeArch();

/** SCMP_ARCH_*, which for all but x32 are the kernel's AUDIT_ARCH_*. */
export const X86 = 0x40000003;
export const X86_64 = 0xc000003e;
export const X32 = 0x4000003e;

/** SECCOMP_RET_ERRNO with this errno. */
export function errno(number: number): number {
  return 0x50000 + number;
}

/** Number of a system call; negative where the architecture has none of that name. */
export function number(name: string, arch = native): number {
  return library.resolveSyscalls(arch, [name])[0] ?? -1;
}

/** Takes the warnings of a compilation. */
export function ignore(): void {}

export function profile(syscalls: readonly SeccompSyscall[], rest: Partial<Seccomp> = {}): Seccomp {
  return { defaultAction: "SCMP_ACT_ERRNO", syscalls, ...rest };
}
