/**
 * `node scripts/generate-syscall-numbers.mjs`: writes bindings/abi/syscall-numbers.generated.ts from the kernel's headers.
 *
 * Needs gcc and linux-libc-dev of an x86-64 machine. arm64 uses the generic table (asm-generic/unistd.h). The file has only calls that
 * runts may need and that both architectures have: evaluating a literal of all calls would take 0.2 ms of each start.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const needed = `
accept4 add_key adjtimex bind bpf brk capget capset chdir chroot clock_gettime clock_nanosleep clone clone3 close
close_range connect copy_file_range dup dup3 epoll_create1 epoll_ctl epoll_pwait eventfd2 execve execveat exit
exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr
flock fsconfig fsetxattr fsmount fsopen fspick fstat fstatfs fsync ftruncate futex getcwd getdents64 getegid geteuid
getgid getgroups getpgid getpid getppid getpriority getrandom getresgid getresuid getrlimit getsid getsockname
getsockopt gettid getuid getxattr inotify_add_watch inotify_init1 io_uring_enter io_uring_setup ioctl ioprio_get
ioprio_set kcmp keyctl kill landlock_add_rule landlock_create_ruleset landlock_restrict_self linkat listen listmount
lseek madvise membarrier memfd_create mkdirat mknodat mlockall mmap mount mount_setattr move_mount mprotect munmap name_to_handle_at
nanosleep newfstatat open_by_handle_at open_tree openat openat2 personality pidfd_getfd pidfd_open pidfd_send_signal
pipe2 pivot_root ppoll prctl pread64 preadv prlimit64 process_madvise process_vm_writev ptrace pwrite64 read readlinkat readv
recvfrom recvmsg renameat2 request_key rt_sigaction rt_sigprocmask rt_sigtimedwait sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_setaffinity sched_setattr sched_setscheduler seccomp
sendfile sendmsg sendto set_mempolicy set_tid_address setdomainname setgid setgroups sethostname setitimer setns setpgid
setpriority setregid setresgid setresuid setreuid setsid setsockopt setuid shutdown signalfd4 socket socketpair splice
statfs statmount statx symlinkat sync_file_range syncfs tgkill timerfd_create timerfd_settime umask umount2 uname
unlinkat unshare userfaultfd utimensat wait4 waitid write writev
`
  .trim()
  .split(/\s+/);

// arch/arm64/include/uapi/asm/unistd.h defines these before it includes the generic table.
const arm64Choices = ["RENAMEAT", "NEW_STAT", "SET_GET_RLIMIT", "TIME32_SYSCALLS", "MEMFD_SECRET"];

/** Reads the system call numbers of a header after preprocessing; returns a function from a name to its number. */
function readNumbers(header, definitions) {
  const text = execFileSync("gcc", ["-E", "-dM", ...definitions, "-"], {
    input: `#include <${header}>\n`,
    encoding: "utf8",
  });
  const values = new Map(
    [...text.matchAll(/^#define (__NR\w*?_\w+) (\w+)$/gm)].map(([, name, value]) => [name, value]),
  );
  return (name) => {
    const value = values.get(`__NR_${name}`);
    const number = Number(values.get(value) ?? value);
    if (!Number.isInteger(number)) throw new Error(`${header} has no number for ${name}`);
    return number;
  };
}

function literal(name, numberOf) {
  const rows = needed.map((call) => `      ${call}: ${numberOf(call)},\n`);
  return `  get ${name}() {\n    return {\n${rows.join("")}    };\n  },\n`;
}

const version = readFileSync("/usr/include/linux/version.h", "utf8");
const [major, minor] = ["MAJOR", "PATCHLEVEL"].map(
  (part) => version.match(`LINUX_VERSION_${part} (\\d+)`)?.[1],
);
const x64 = readNumbers("x86_64-linux-gnu/asm/unistd_64.h", []);
const arm64 = readNumbers(
  "asm-generic/unistd.h",
  arm64Choices.map((choice) => `-D__ARCH_WANT_${choice}`),
);
writeFileSync(
  join(import.meta.dirname, "..", "bindings/abi/syscall-numbers.generated.ts"),
  `// asm/unistd_64.h and asm-generic/unistd.h, Linux ${major}.${minor}. Made by "node scripts/generate-syscall-numbers.mjs".

/** System call numbers by architecture. Only what is asked for is built: read a getter once. */
export const syscallNumbers = {
${literal("x64", x64)}${literal("arm64", arm64)}} as const;
`,
);
