// Struct layouts of the kernel's headers, Linux 6.12, for x86-64 and arm64. Pointers are u64.

import type { Struct } from "./struct.ts";

/** struct open_how, linux/openat2.h, openat2(2) */
export const openHow = {
  size: 24,
  fields: [
    ["flags", "u64"],
    ["mode", "u64"],
    ["resolve", "u64"],
  ],
} as const satisfies Struct;

/** struct clone_args, linux/sched.h, clone3(2) */
export const cloneArgs = {
  size: 88,
  fields: [
    ["flags", "u64"],
    ["pidfd", "u64"],
    ["child_tid", "u64"],
    ["parent_tid", "u64"],
    ["exit_signal", "u64"],
    ["stack", "u64"],
    ["stack_size", "u64"],
    ["tls", "u64"],
    ["set_tid", "u64"],
    ["set_tid_size", "u64"],
    ["cgroup", "u64"],
  ],
} as const satisfies Struct;

/** struct mount_attr, linux/mount.h, mount_setattr(2) */
export const mountAttr = {
  size: 32,
  fields: [
    ["attr_set", "u64"],
    ["attr_clr", "u64"],
    ["propagation", "u64"],
    ["userns_fd", "u64"],
  ],
} as const satisfies Struct;

/** struct mnt_id_req, linux/mount.h, statmount(2) and listmount(2) */
export const mntIdReq = {
  size: 32,
  fields: [
    ["size", "u32"],
    ["spare", "u32"],
    ["mnt_id", "u64"],
    ["param", "u64"],
    ["mnt_ns_id", "u64"],
  ],
} as const satisfies Struct;

/** struct statx, linux/stat.h, statx(2); without the times */
export const statx = {
  size: 256,
  fields: [
    ["stx_mask", "u32"],
    ["stx_blksize", "u32"],
    ["stx_attributes", "u64"],
    ["stx_nlink", "u32"],
    ["stx_uid", "u32"],
    ["stx_gid", "u32"],
    ["stx_mode", "u16"],
    ["stx_ino", "u64"],
    ["stx_size", "u64"],
    ["stx_blocks", "u64"],
    ["stx_attributes_mask", "u64"],
    ["stx_rdev_major", "u32", 128],
    ["stx_rdev_minor", "u32"],
    ["stx_dev_major", "u32"],
    ["stx_dev_minor", "u32"],
    ["stx_mnt_id", "u64"],
  ],
} as const satisfies Struct;

/** struct statfs, asm-generic/statfs.h, statfs(2); without f_fsid */
export const statfs = {
  size: 120,
  fields: [
    ["f_type", "s64"],
    ["f_bsize", "s64"],
    ["f_blocks", "u64"],
    ["f_bfree", "u64"],
    ["f_bavail", "u64"],
    ["f_files", "u64"],
    ["f_ffree", "u64"],
    ["f_namelen", "s64", 64],
    ["f_frsize", "s64"],
    ["f_flags", "s64"],
  ],
} as const satisfies Struct;

/** struct sched_attr, linux/sched/types.h, sched_setattr(2) */
export const schedAttr = {
  size: 56,
  fields: [
    ["size", "u32"],
    ["sched_policy", "u32"],
    ["sched_flags", "u64"],
    ["sched_nice", "s32"],
    ["sched_priority", "u32"],
    ["sched_runtime", "u64"],
    ["sched_deadline", "u64"],
    ["sched_period", "u64"],
    ["sched_util_min", "u32"],
    ["sched_util_max", "u32"],
  ],
} as const satisfies Struct;

/** struct rlimit64, linux/resource.h, prlimit(2) */
export const rlimit64 = {
  size: 16,
  fields: [
    ["rlim_cur", "u64"],
    ["rlim_max", "u64"],
  ],
} as const satisfies Struct;

/** struct __user_cap_header_struct, linux/capability.h, capset(2) */
export const userCapHeader = {
  size: 8,
  fields: [
    ["version", "u32"],
    ["pid", "s32"],
  ],
} as const satisfies Struct;

/** struct __user_cap_data_struct, linux/capability.h, capset(2): two of these follow each other */
export const userCapData = {
  size: 12,
  fields: [
    ["effective", "u32"],
    ["permitted", "u32"],
    ["inheritable", "u32"],
  ],
} as const satisfies Struct;

/** struct seccomp_data, linux/seccomp.h, seccomp(2); without args */
export const seccompData = {
  size: 64,
  fields: [
    ["nr", "s32"],
    ["arch", "u32"],
    ["instruction_pointer", "u64"],
  ],
} as const satisfies Struct;

/** struct sock_fprog, linux/filter.h, seccomp(2) */
export const sockFprog = {
  size: 16,
  fields: [
    ["len", "u16"],
    ["filter", "u64"],
  ],
} as const satisfies Struct;

/** struct iovec, linux/uio.h, readv(2) */
export const iovec = {
  size: 16,
  fields: [
    ["iov_base", "u64"],
    ["iov_len", "u64"],
  ],
} as const satisfies Struct;

/** struct user_msghdr, linux/socket.h of the kernel, sendmsg(2) */
export const msghdr = {
  size: 56,
  fields: [
    ["msg_name", "u64"],
    ["msg_namelen", "u32"],
    ["msg_iov", "u64"],
    ["msg_iovlen", "u64"],
    ["msg_control", "u64"],
    ["msg_controllen", "u64"],
    ["msg_flags", "u32"],
  ],
} as const satisfies Struct;

/** struct cmsghdr, linux/socket.h of the kernel, cmsg(3) */
export const cmsghdr = {
  size: 16,
  fields: [
    ["cmsg_len", "u64"],
    ["cmsg_level", "s32"],
    ["cmsg_type", "s32"],
  ],
} as const satisfies Struct;

/** struct pollfd, asm-generic/poll.h, poll(2) */
export const pollfd = {
  size: 8,
  fields: [
    ["fd", "s32"],
    ["events", "u16"],
    ["revents", "u16"],
  ],
} as const satisfies Struct;

/** struct flock, asm-generic/fcntl.h, fcntl(2) */
export const flock = {
  size: 32,
  fields: [
    ["l_type", "u16"],
    ["l_whence", "u16"],
    ["l_start", "s64"],
    ["l_len", "s64"],
    ["l_pid", "s32"],
  ],
} as const satisfies Struct;

/** struct winsize, asm-generic/termios.h, ioctl_tty(2) */
export const winsize = {
  size: 8,
  fields: [
    ["ws_row", "u16"],
    ["ws_col", "u16"],
    ["ws_xpixel", "u16"],
    ["ws_ypixel", "u16"],
  ],
} as const satisfies Struct;

/** struct termios, asm-generic/termbits.h, ioctl_tty(2); c_cc are the 19 bytes after c_line. Not the larger one of glibc */
export const termios = {
  size: 36,
  fields: [
    ["c_iflag", "u32"],
    ["c_oflag", "u32"],
    ["c_cflag", "u32"],
    ["c_lflag", "u32"],
    ["c_line", "u8"],
  ],
} as const satisfies Struct;

/** struct ifreq, linux/if.h, netdevice(7); the name is the first 16 bytes */
export const ifreq = {
  size: 40,
  fields: [["ifr_flags", "u16", 16]],
} as const satisfies Struct;

/** struct sigaction of the kernel, linux/signal_types.h, rt_sigaction(2) */
export const kernelSigaction = {
  size: 32,
  fields: [
    ["handler", "u64"],
    ["flags", "u64"],
    ["restorer", "u64"],
    ["mask", "u64"],
  ],
} as const satisfies Struct;

/** siginfo_t, asm-generic/siginfo.h, waitid(2) */
export const siginfo = {
  size: 128,
  fields: [
    ["si_signo", "s32"],
    ["si_errno", "s32"],
    ["si_code", "s32"],
    ["si_pid", "s32", 16],
    ["si_uid", "u32"],
    ["si_status", "s32"],
  ],
} as const satisfies Struct;
