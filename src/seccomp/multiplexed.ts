import { architectures } from "./constants.ts";

/**
 * System calls that some architectures (32-bit x86, s390, powerpc, mips …) have only, or also, behind a multiplexer: socketcall(2) or
 * ipc(2), with the operation as first argument. libseccomp turns a rule for `connect` also into one for socketcall's operation. As
 * that depends on an argument, it can't be decided by number, and libseccomp resolves the name to no number on these architectures.
 *
 * The values are the numbers of the direct calls on 32-bit x86 (asm/unistd_32.h), -1 if there is none.
 */
const socketcall: Readonly<Record<string, number>> = {
  accept: -1,
  accept4: 364,
  bind: 361,
  connect: 362,
  getpeername: 368,
  getsockname: 367,
  getsockopt: 365,
  listen: 363,
  recv: -1,
  recvfrom: 371,
  recvmmsg: 337,
  recvmsg: 372,
  send: -1,
  sendmmsg: 345,
  sendmsg: 370,
  sendto: 369,
  setsockopt: 366,
  shutdown: 373,
  socket: 359,
  socketpair: 360,
};

const ipc: Readonly<Record<string, number>> = {
  msgctl: 402,
  msgget: 399,
  msgrcv: 401,
  msgsnd: 400,
  semctl: 394,
  semget: 393,
  semop: -1,
  semtimedop: -1,
  semtimedop_time64: 420,
  shmat: 397,
  shmctl: 396,
  shmdt: 398,
  shmget: 395,
};

/** The multiplexer that may have the system call as an operation. */
export function multiplexerOf(name: string): "socketcall" | "ipc" | undefined {
  if (Object.hasOwn(socketcall, name)) return "socketcall";
  return Object.hasOwn(ipc, name) ? "ipc" : undefined;
}

/** Whether the tables above have the numbers of an architecture with multiplexers. */
export function hasKnownDirectNumbers(arch: number): boolean {
  return arch === architectures.SCMP_ARCH_X86;
}

/** The number of the direct call, for a name that libseccomp resolves to none; negative if there is none. */
export function directNumber(arch: number, name: string): number {
  if (!hasKnownDirectNumbers(arch)) return -1;
  const table = multiplexerOf(name) === "socketcall" ? socketcall : ipc;
  return (Object.hasOwn(table, name) ? table[name] : undefined) ?? -1;
}
