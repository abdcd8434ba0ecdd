// linux/ptrace.h and asm/ptrace.h of x86-64, Linux 6.12.

// ptrace(2)
export const PTRACE_CONT = 7;
export const PTRACE_SINGLESTEP = 9;
export const PTRACE_GETREGS = 12;
export const PTRACE_SETREGS = 13;
export const PTRACE_SEIZE = 0x4206;
export const PTRACE_INTERRUPT = 0x4207;
export const PTRACE_GET_RSEQ_CONFIGURATION = 0x420f;
export const PTRACE_O_EXITKILL = 0x100000;
