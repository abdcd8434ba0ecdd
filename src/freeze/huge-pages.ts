import { O_RDONLY } from "../../bindings/abi/fcntl.ts";
import { MADV_HUGEPAGE, MADV_POPULATE_READ, MAP_PRIVATE, PROT_READ } from "../../bindings/abi/mman.ts";
import { syscall, trySyscall } from "../../bindings/ffi/syscall.ts";
import { closeSync, openSync, readFileSync } from "../../bindings/linux/files.ts";

/** In bytes: a second-level page of x86-64. */
export const HUGE_PAGE = 2 * 1024 * 1024;

const POSIX_FADV_DONTNEED = 4;

/**
 * Makes the page cache hold a part of a file in huge pages, if the file system supports it. Mapping the part at an aligned address then
 * takes one page fault per huge page, instead of dozens. Returns whether it worked. `offset` and `length` are multiples of HUGE_PAGE.
 * Cached small pages are written to disk and dropped first, as they can't become huge.
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
  // At an aligned address within a larger mapping.
  const space = syscall("mmap", [null, length + HUGE_PAGE, PROT_READ, MAP_PRIVATE, fd, 0]);
  const aligned = Math.ceil(space / HUGE_PAGE) * HUGE_PAGE;
  try {
    const MAP_FIXED = 0x10;
    syscall("mmap", [aligned, length, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, offset]);
    // Kernels without support return an error here, or do nothing.
    trySyscall("madvise", aligned, length, MADV_HUGEPAGE);
    trySyscall("madvise", aligned, length, MADV_POPULATE_READ);
    return hugeBytes(aligned) > 0;
  } finally {
    trySyscall("munmap", space, length + HUGE_PAGE);
  }
}

/** The number of bytes that are mapped by huge pages in the mapping at an address: proc_pid_smaps(5). */
function hugeBytes(address: number): number {
  const text = readFileSync("/proc/self/smaps", "latin1");
  const mapping = text.slice(text.indexOf(`${address.toString(16)}-`));
  return 1024 * Number(/^FilePmdMapped: +(\d+) kB$/m.exec(mapping)?.[1] ?? 0);
}
