// linux/personality.h, Linux 6.12.

// personality(2): execution domains
export const PER_LINUX = 0;
export const PER_LINUX32 = 8;
