// linux/keyctl.h, Linux 6.12; permissions: linux/key.h of the kernel.

// keyctl(2): operations
export const KEYCTL_GET_KEYRING_ID = 0;
export const KEYCTL_JOIN_SESSION_KEYRING = 1;
export const KEYCTL_UPDATE = 2;
export const KEYCTL_REVOKE = 3;
export const KEYCTL_CHOWN = 4;
export const KEYCTL_SETPERM = 5;
export const KEYCTL_DESCRIBE = 6;
export const KEYCTL_CLEAR = 7;
export const KEYCTL_LINK = 8;
export const KEYCTL_UNLINK = 9;
export const KEYCTL_SEARCH = 10;
export const KEYCTL_READ = 11;
export const KEYCTL_INVALIDATE = 21;

// Key ids with a meaning
export const KEY_SPEC_THREAD_KEYRING = -1;
export const KEY_SPEC_PROCESS_KEYRING = -2;
export const KEY_SPEC_SESSION_KEYRING = -3;
export const KEY_SPEC_USER_KEYRING = -4;
export const KEY_SPEC_USER_SESSION_KEYRING = -5;
export const KEY_SPEC_GROUP_KEYRING = -6;
export const KEY_SPEC_REQKEY_AUTH_KEY = -7;
export const KEY_SPEC_REQUESTOR_KEYRING = -8;

// KEYCTL_SETPERM: one byte each for the possessor, the user, the group and the others
export const KEY_POS_ALL = 0x3f000000;
export const KEY_POS_VIEW = 0x1000000;
export const KEY_POS_READ = 0x2000000;
export const KEY_POS_WRITE = 0x4000000;
export const KEY_POS_SEARCH = 0x8000000;
export const KEY_POS_LINK = 0x10000000;
export const KEY_POS_SETATTR = 0x20000000;
export const KEY_USR_VIEW = 0x10000;
export const KEY_USR_READ = 0x20000;
export const KEY_USR_WRITE = 0x40000;
export const KEY_USR_SEARCH = 0x80000;
export const KEY_USR_LINK = 0x100000;
export const KEY_USR_SETATTR = 0x200000;
