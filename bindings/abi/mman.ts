// asm-generic/mman-common.h, Linux 6.12.

// mmap(2): protection and flags
export const PROT_READ = 0x1;
export const PROT_WRITE = 0x2;
export const PROT_EXEC = 0x4;
export const MAP_PRIVATE = 0x2;
export const MAP_ANONYMOUS = 0x20;
export const MAP_FIXED_NOREPLACE = 0x100000;

// madvise(2)
export const MADV_HUGEPAGE = 14;
export const MADV_POPULATE_READ = 22;
