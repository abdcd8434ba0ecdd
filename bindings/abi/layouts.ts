// Layouts of the structs that system calls take: size, and the offsets of the fields that code reads or writes, in bytes. Both architectures
// have the same layouts. abi.kernel.test.ts compares them with a compiled probe.

/** struct open_how, linux/openat2.h. */
export const open_how = { size: 24, flags: 0, mode: 8, resolve: 16 } as const;

/** struct mount_attr, linux/mount.h: MOUNT_ATTR_SIZE_VER0. */
export const mount_attr = { size: 32, attr_set: 0, attr_clr: 8, propagation: 16, userns_fd: 24 } as const;

/** struct clone_args, linux/sched.h: CLONE_ARGS_SIZE_VER2. */
export const clone_args = { size: 88, flags: 0, exit_signal: 32, cgroup: 80 } as const;

/** struct statx, linux/stat.h. */
export const statx = {
  size: 256,
  stx_mask: 0,
  stx_attributes: 8,
  stx_uid: 20,
  stx_gid: 24,
  stx_mode: 28,
  stx_ino: 32,
  stx_size: 40,
  stx_blocks: 48,
  stx_ctime: 96,
  stx_mtime: 112,
  stx_rdev_major: 128,
  stx_rdev_minor: 132,
  stx_dev_major: 136,
  stx_mnt_id: 144,
} as const;

/** struct statfs, asm-generic/statfs.h. */
export const statfs = { size: 120, f_type: 0 } as const;

/** struct iovec, linux/uio.h. */
export const iovec = { size: 16, iov_base: 0, iov_len: 8 } as const;

/** struct msghdr, socket.h of the kernel, sys/socket.h of glibc. */
export const msghdr = {
  size: 56,
  msg_iov: 16,
  msg_iovlen: 24,
  msg_control: 32,
  msg_controllen: 40,
} as const;

/** struct cmsghdr, cmsg(3): its data follow. */
export const cmsghdr = { size: 16, cmsg_len: 0, cmsg_level: 8, cmsg_type: 12 } as const;

/** struct seccomp_notif, linux/seccomp.h, with the struct seccomp_data in it. */
export const seccomp_notif = {
  size: 80,
  id: 0,
  pid: 8,
  "data.nr": 16,
  "data.arch": 20,
  "data.args": 32,
} as const;

/** struct seccomp_notif_resp, linux/seccomp.h. */
export const seccomp_notif_resp = { size: 24, id: 0, val: 8, error: 16, flags: 20 } as const;

/** struct sock_fprog, linux/filter.h. */
export const sock_fprog = { size: 16, len: 0, filter: 8 } as const;

/** struct landlock_ruleset_attr, linux/landlock.h. A kernel that knows fewer fields takes the struct if the others are 0. */
export const landlock_ruleset_attr = {
  size: 24,
  handled_access_fs: 0,
  handled_access_net: 8,
  scoped: 16,
} as const;

/** struct landlock_path_beneath_attr, linux/landlock.h: packed. */
export const landlock_path_beneath_attr = { size: 12, allowed_access: 0, parent_fd: 8 } as const;

/** struct landlock_net_port_attr, linux/landlock.h. */
export const landlock_net_port_attr = { size: 16, allowed_access: 0, port: 8 } as const;

/** struct ifreq, linux/if.h. */
export const ifreq = { size: 40, ifr_name: 0, ifr_flags: 16 } as const;

/** struct sigaction of the kernel on x86-64; that of arm64 is the same. All zero is SIG_DFL. */
export const kernel_sigaction = { size: 32 } as const;

/** struct sched_attr, linux/sched/types.h: SCHED_ATTR_SIZE_VER1. */
export const sched_attr = {
  size: 56,
  sched_policy: 4,
  sched_flags: 8,
  sched_nice: 16,
  sched_priority: 20,
  sched_runtime: 24,
  sched_deadline: 32,
  sched_period: 40,
  sched_util_min: 48,
  sched_util_max: 52,
} as const;

/** struct termios of the kernel, asm-generic/termbits.h. */
export const termios = { size: 36, c_iflag: 0, c_oflag: 4, c_cflag: 8, c_lflag: 12, c_cc: 17 } as const;

/** struct linux_dirent64, getdents64(2); glibc calls it struct dirent64. */
export const dirent64 = { d_reclen: 16, d_type: 18, d_name: 19 } as const;

/** struct nlmsghdr, netlink(7). */
export const nlmsghdr = { size: 16, nlmsg_len: 0, nlmsg_type: 4, nlmsg_flags: 6, nlmsg_seq: 8 } as const;

/** struct nlmsgerr: the header of the request follows the error. */
export const nlmsgerr = { size: 20, error: 0 } as const;

/** struct sockaddr_nl, netlink(7). */
export const sockaddr_nl = { size: 12, nl_pid: 4 } as const;

/** struct ifinfomsg, rtnetlink(7). */
export const ifinfomsg = { size: 16, ifi_index: 4, ifi_flags: 8, ifi_change: 12 } as const;

/** struct ifaddrmsg, rtnetlink(7). */
export const ifaddrmsg = {
  size: 8,
  ifa_family: 0,
  ifa_prefixlen: 1,
  ifa_flags: 2,
  ifa_scope: 3,
  ifa_index: 4,
} as const;

/** struct rtattr, rtnetlink(7); struct nlattr is the same. */
export const rtattr = { size: 4, rta_len: 0, rta_type: 2 } as const;

/** struct utsname, uname(2); the kernel calls it struct new_utsname. */
export const utsname = { size: 390, release: 130, version: 195, machine: 260 } as const;

/** struct signalfd_siginfo, linux/signalfd.h. */
export const signalfd_siginfo = { size: 128, ssi_signo: 0 } as const;

/** siginfo_t, asm-generic/siginfo.h: fields about a child, for SIGCHLD and waitid(2). */
export const siginfo = { size: 128, si_pid: 16 } as const;
