// linux/pidfd.h, Linux 6.15. Headers of older kernels lack these names.

/** struct pidfd_info: PIDFD_INFO_SIZE_VER0. */
export const pidfd_info = { size: 64, mask: 0, exit_code: 60 } as const;

/** _IOWR(0xFF, 11, struct pidfd_info): the size of the struct is in the number. */
export const PIDFD_GET_INFO = 0xc000ff0b + pidfd_info.size * 0x10000;

/** In `mask`: the process has been reaped, and `exit_code` is its wait status. */
export const PIDFD_INFO_EXIT = 8;
