// linux/limits.h, Linux 6.12.

/** Length of the longest path that the kernel takes, in bytes, with its NUL: path_resolution(7). */
export const PATH_MAX = 4096;
