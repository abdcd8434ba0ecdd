import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from "../../../bindings/abi/sched.ts";

/** An argument that a recorded profile tells apart. */
export interface WatchedArgument {
  readonly index: number;
  /** The bits that are recorded. */
  readonly mask: bigint;
  /** Whether the kernel looks at the lower 32 bits only, whatever a program leaves in the others. */
  readonly isInt: boolean;
}

const ALL_BITS = 0xffff_ffff_ffff_ffffn;

/** clone(2) with any of them makes a namespace. CLONE_NEWTIME is not for clone: it is one of the bits of the exit signal there. */
const NAMESPACES =
  CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

/**
 * The arguments that a profile tells apart, by the name of the call: those that decide which part of the kernel the call reaches, and that
 * the program's text fixes, so that the next run passes the same. Left out on purpose: the option of prctl(2) and the request of
 * ioctl(2), which depend on the version of libc and on the kind of file that a descriptor happens to be (a terminal or a pipe), so that a
 * profile with them would break at the next update; flags of open(2) and mmap(2) for the same reason; and what lies behind a pointer, such as
 * the flags of clone3(2), which no filter can see.
 */
export const WATCHED_ARGUMENTS: Readonly<Record<string, WatchedArgument>> = {
  // socket(2), socketpair(2): the domain, such as AF_INET. Each is a protocol family of its own.
  socket: { index: 0, mask: ALL_BITS, isInt: true },
  socketpair: { index: 0, mask: ALL_BITS, isInt: true },
  // Only the namespaces: the other flags tell a thread from a process, and differ between versions of libc.
  clone: { index: 0, mask: BigInt(NAMESPACES), isInt: false },
  unshare: { index: 0, mask: ALL_BITS, isInt: false },
  // setns(2): the kind of namespace. The first argument is a descriptor.
  setns: { index: 1, mask: ALL_BITS, isInt: true },
  personality: { index: 0, mask: ALL_BITS, isInt: true },
};

/** A call with more values than these is recorded without: they are no constants of the program then, and the profile would grow without end. */
export const MAX_VALUES = 16;
