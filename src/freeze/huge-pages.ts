import { O_RDONLY } from "../../bindings/abi/fcntl.ts";
import { MADV_HUGEPAGE, MADV_POPULATE_READ, MAP_PRIVATE, PROT_READ } from "../../bindings/abi/mman.ts";
import { syscall, trySyscall } from "../../bindings/ffi/syscall.ts";
import { closeSync, openSync, readFileSync } from "../../bindings/linux/files.ts";

/** In bytes: a page of the second level, of x86-64. */
export const HUGE_PAGE = 2 * 1024 * 1024;

const POSIX_FADV_DONTNEED = 4;

/**
 * Lets the page cache hold a part of a file in huge pages, as far as the file system can: whoever maps it at a suitable address from
 * then on does so with one page fault for each, and not with dozens. Returns whether it does. The part begins and ends at multiples of
 * HUGE_PAGE. What is cached already has to go to the disk and out first, since pages don't grow.
 */
export function cacheInHugePages(path: string, offset: number, length: number): boolean {
  const fd = openSync(path, O_RDONLY);
  try {
    syscall("fsync", [fd]);
    trySyscall("fadvise64", fd, offset, length, POSIX_FADV_DONTNEED);
    return isMappedHuge(fd, offset, length);
  } finally {
    closeSync(fd);
  }
}

function isMappedHuge(fd: number, offset: number, length: number): boolean {
  // At some address of a suitable alignment, within a larger mapping.
  const space = syscall("mmap", [null, length + HUGE_PAGE, PROT_READ, MAP_PRIVATE, fd, 0]);
  const aligned = Math.ceil(space / HUGE_PAGE) * HUGE_PAGE;
  try {
    const MAP_FIXED = 0x10;
    syscall("mmap", [aligned, length, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, offset]);
    // Kernels without it say so here, or do nothing.
    trySyscall("madvise", aligned, length, MADV_HUGEPAGE);
    trySyscall("madvise", aligned, length, MADV_POPULATE_READ);
    return hugeBytes(aligned) > 0;
  } finally {
    trySyscall("munmap", space, length + HUGE_PAGE);
  }
}

/** How much of the mapping at an address the kernel has mapped by huge pages: proc_pid_smaps(5). */
function hugeBytes(address: number): number {
  const text = readFileSync("/proc/self/smaps", "latin1");
  const mapping = text.slice(text.indexOf(`${address.toString(16)}-`));
  return 1024 * Number(/^FilePmdMapped: +(\d+) kB$/m.exec(mapping)?.[1] ?? 0);
}
