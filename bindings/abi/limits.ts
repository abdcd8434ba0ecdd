// linux/limits.h, Linux 6.12.

/** The longest path that the kernel takes, with its NUL, in bytes: path_resolution(7). */
export const PATH_MAX = 4096;
