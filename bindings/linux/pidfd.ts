import { errnoName } from "../abi/errno.ts";
import { PIDFD_GET_INFO, PIDFD_INFO_EXIT, pidfd_info } from "../abi/pidfd.ts";
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

/** Errors of PIDFD_GET_INFO before Linux 6.13, which lacks it, and before 6.15 for a process that has been reaped. */
const UNKNOWN: readonly string[] = ["ENOTTY", "EINVAL", "ESRCH"];

/**
 * Returns the status word of wait(2) for a process that its parent has reaped since the pidfd was opened. Returns undefined before that, and
 * always before Linux 6.15. The process need not be a child of this one. PIDFD_GET_INFO with PIDFD_INFO_EXIT, fs/pidfs.c
 */
export function reapedStatus(pidfd: number): number | undefined {
  const info = new Uint8Array(pidfd_info.size);
  const view = new DataView(info.buffer);
  view.setBigUint64(pidfd_info.mask, BigInt(PIDFD_INFO_EXIT), true);
  const result = trySyscall("ioctl", pidfd, PIDFD_GET_INFO, info);
  if (result < 0) {
    const errno = errnoName(-result);
    if (UNKNOWN.includes(errno)) return undefined;
    throw new SyscallError("ioctl", errno, ["PIDFD_GET_INFO"]);
  }
  // The kernel answers with the bits of what it has filled in.
  const isReaped = (view.getUint32(pidfd_info.mask, true) & PIDFD_INFO_EXIT) !== 0;
  return isReaped ? view.getInt32(pidfd_info.exit_code, true) : undefined;
}
