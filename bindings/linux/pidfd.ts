import { errnoName } from "../abi/errno.ts";
import { trySyscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";

/** int pidfd_open(pid_t pid, unsigned int flags). Returns undefined if there is no such process. pidfd_open(2) */
export function pidfdOpen(pid: number): number | undefined {
  const fd = trySyscall("pidfd_open", pid, 0);
  if (fd >= 0) return fd;
  const errno = errnoName(-fd);
  // The pid may be a thread's (ENOENT), or still that of a process group or session. Before Linux 6.15, both are EINVAL.
  if (errno === "ESRCH" || errno === "ENOENT" || errno === "EINVAL") return undefined;
  throw new SyscallError("pidfd_open", errno, [String(pid)]);
}

/**
 * int pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned int flags). Returns false if the process has ended.
 * pidfd_send_signal(2)
 */
export function pidfdSendSignal(pidfd: number, signal: number): boolean {
  const result = trySyscall("pidfd_send_signal", pidfd, signal, null, 0);
  if (result >= 0) return true;
  const errno = errnoName(-result);
  if (errno === "ESRCH") return false;
  throw new SyscallError("pidfd_send_signal", errno, [String(signal)]);
}
