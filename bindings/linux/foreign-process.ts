import { addressOf } from "../ffi/koffi.ts";
import { syscall } from "../ffi/syscall.ts";

/** Access to another process, for callers that may trace it: ptrace(2), "Ptrace access mode checking". */

/** int pidfd_getfd(int pidfd, int targetfd, unsigned int flags). Returns a close-on-exec duplicate. pidfd_getfd(2) */
export function pidfdGetfd(pidfd: number, descriptor: number): number {
  return syscall("pidfd_getfd", [pidfd, descriptor, 0], [String(descriptor)]);
}

/** ssize_t process_vm_writev(pid_t pid, ...): writes all bytes to one address. process_vm_readv(2) */
export function writeMemory(pid: number, address: number, bytes: Uint8Array): void {
  const local = new BigUint64Array([addressOf(bytes), BigInt(bytes.length)]);
  const remote = new BigUint64Array([BigInt(address), BigInt(bytes.length)]);
  syscall(
    "process_vm_writev",
    [pid, new Uint8Array(local.buffer), 1, new Uint8Array(remote.buffer), 1, 0],
    [`0x${address.toString(16)}`],
  );
}
