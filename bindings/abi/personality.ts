// linux/personality.h, Linux 6.12.

// personality(2): execution domains
export const PER_LINUX = 0;
export const PER_LINUX32 = 8;

/** Legacy layout: mmap allocates upwards from a third of the address space, not downwards from the stack. */
export const ADDR_COMPAT_LAYOUT = 0x0200000;
