import type { Seccomp, SeccompSyscall } from "../spec/types.ts";
import { loadLibseccomp } from "./compile.ts";

/** For kernel tests of filters: this machine's libseccomp, and the numbers that filters use. */

export const library = loadLibseccomp();
export const native = library.nativeArch();

/** SCMP_ARCH_*, which are the kernel's AUDIT_ARCH_* except for x32. */
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

/** Ignores the warnings of a compilation. */
export function ignore(): void {}

export function profile(syscalls: readonly SeccompSyscall[], rest: Partial<Seccomp> = {}): Seccomp {
  return { defaultAction: "SCMP_ACT_ERRNO", syscalls, ...rest };
}
