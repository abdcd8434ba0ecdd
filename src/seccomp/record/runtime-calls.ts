/** The calls that a recorded profile allows although the container need not have made them, so that the next run starts and ends as this one. */

/**
 * Calls that the kernel makes a process make: at its end, after a signal handler, and when it goes on after a stop or a freeze
 * (restart_syscall(2)); and those that the vDSO makes where it can't read the clock or the processor itself, as on other machines: vdso(7).
 */
const OF_KERNEL = "exit exit_group rt_sigreturn restart_syscall clock_gettime gettimeofday time getcpu";
const OF_32_BIT_KERNEL = "sigreturn clock_gettime64";

/** What a runtime does between loading the filter and the end of execve(2). runts calls nothing else. */
const OF_RUNTS = "execve";
/** crun 1.21 and 1.28, and runc 1.1 and 1.3, whose Go runtime has threads. They set user and capabilities before that if noNewPrivileges is true. */
const OF_CRUN = "close close_range";
const OF_RUNC =
  "clone epoll_ctl epoll_pwait fcntl fstat fstatfs futex getdents64 getpid gettid madvise mmap munmap nanosleep newfstatat openat openat2 read " +
  "rt_sigprocmask sched_yield sigaltstack statx tgkill write";
/** Without noNewPrivileges, runc and crun load the filter earlier, since that needs CAP_SYS_ADMIN: they set user and capabilities afterwards. */
const WITH_PRIVILEGES =
  "capget capset chdir faccessat2 getcwd getppid prctl rt_sigaction setgid setgroups setresgid setresuid setuid";

export interface StartConditions {
  readonly noNewPrivileges: boolean;
  /** Whether 32-bit calls are allowed as well. */
  readonly with32Bit: boolean;
}

export function runtimeCalls({ noNewPrivileges, with32Bit }: StartConditions): readonly string[] {
  const lists = [OF_KERNEL, OF_RUNTS, OF_CRUN, OF_RUNC];
  if (with32Bit) lists.push(OF_32_BIT_KERNEL);
  if (!noNewPrivileges) lists.push(WITH_PRIVILEGES);
  return lists.flatMap((list) => list.split(" "));
}
