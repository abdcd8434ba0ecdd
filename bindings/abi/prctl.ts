// linux/prctl.h and linux/securebits.h, Linux 6.12.

// prctl(2): operations
export const PR_SET_PDEATHSIG = 1;
export const PR_GET_PDEATHSIG = 2;
export const PR_GET_DUMPABLE = 3;
export const PR_SET_DUMPABLE = 4;
export const PR_GET_KEEPCAPS = 7;
export const PR_SET_KEEPCAPS = 8;
export const PR_SET_NAME = 15;
export const PR_GET_NAME = 16;
export const PR_GET_SECCOMP = 21;
export const PR_SET_SECCOMP = 22;
export const PR_CAPBSET_READ = 23;
export const PR_CAPBSET_DROP = 24;
export const PR_GET_SECUREBITS = 27;
export const PR_SET_SECUREBITS = 28;
export const PR_SET_CHILD_SUBREAPER = 36;
export const PR_GET_CHILD_SUBREAPER = 37;
export const PR_SET_NO_NEW_PRIVS = 38;
export const PR_GET_NO_NEW_PRIVS = 39;
export const PR_SET_THP_DISABLE = 41;
export const PR_CAP_AMBIENT = 47;

// PR_CAP_AMBIENT
export const PR_CAP_AMBIENT_IS_SET = 1;
export const PR_CAP_AMBIENT_RAISE = 2;
export const PR_CAP_AMBIENT_LOWER = 3;
export const PR_CAP_AMBIENT_CLEAR_ALL = 4;

// PR_SET_MM, then its fields
export const PR_SET_MM = 35;
export const PR_SET_MM_START_CODE = 1;
export const PR_SET_MM_END_CODE = 2;
export const PR_SET_MM_START_DATA = 3;
export const PR_SET_MM_END_DATA = 4;
export const PR_SET_MM_START_STACK = 5;
export const PR_SET_MM_START_BRK = 6;
export const PR_SET_MM_BRK = 7;
export const PR_SET_MM_ARG_START = 8;
export const PR_SET_MM_ARG_END = 9;
export const PR_SET_MM_ENV_START = 10;
export const PR_SET_MM_ENV_END = 11;
export const PR_SET_MM_AUXV = 12;
export const PR_SET_MM_EXE_FILE = 13;
export const PR_SET_MM_MAP = 14;
export const PR_SET_MM_MAP_SIZE = 15;

// Speculation: operations, features, values
export const PR_GET_SPECULATION_CTRL = 52;
export const PR_SET_SPECULATION_CTRL = 53;
export const PR_SPEC_STORE_BYPASS = 0x0;
export const PR_SPEC_INDIRECT_BRANCH = 0x1;
export const PR_SPEC_L1D_FLUSH = 0x2;
export const PR_SPEC_NOT_AFFECTED = 0x0;
export const PR_SPEC_PRCTL = 0x1;
export const PR_SPEC_ENABLE = 0x2;
export const PR_SPEC_DISABLE = 0x4;
export const PR_SPEC_FORCE_DISABLE = 0x8;
export const PR_SPEC_DISABLE_NOEXEC = 0x10;

// PR_SET_SECUREBITS
export const SECBIT_NOROOT = 0x1;
export const SECBIT_NOROOT_LOCKED = 0x2;
export const SECBIT_NO_SETUID_FIXUP = 0x4;
export const SECBIT_NO_SETUID_FIXUP_LOCKED = 0x8;
export const SECBIT_KEEP_CAPS = 0x10;
export const SECBIT_KEEP_CAPS_LOCKED = 0x20;
export const SECBIT_NO_CAP_AMBIENT_RAISE = 0x40;
export const SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED = 0x80;

// Gets the address at which the kernel writes 0 when the thread ends: set_tid_address(2)
export const PR_GET_TID_ADDRESS = 40;
