import { EINTR, errnoName } from "../abi/errno.ts";
import { trySyscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";

export const POLLIN = 1;
const POLLPRI = 2;
const POLLOUT = 4;
const POLLERR = 8;
const ANY_RESULT = 0xffff;

/**
 * Waits until a descriptor is readable, at most `timeoutMs` whole milliseconds; returns whether it is. A pidfd becomes readable when its
 * process has ended. poll(2), pidfd_open(2)
 */
export function waitReadable(fd: number, timeoutMs: number): boolean {
  return waitAnyReadable([fd], timeoutMs).length > 0;
}

/** Like waitReadable, for several descriptors; returns those that are readable. */
export function waitAnyReadable(fds: readonly number[], timeoutMs: number): number[] {
  return waitReady(fds, [], timeoutMs);
}

/**
 * Waits until a descriptor of `readable` can be read, one of `writable` can be written to, or either is at its end or in error. Returns those
 * that are. `timeoutMs` is in whole milliseconds; without it there is no time limit. ppoll(2)
 */
export function waitReady(
  readable: readonly number[],
  writable: readonly number[],
  timeoutMs?: number,
): number[] {
  const poll = new Int32Array(2 * (readable.length + writable.length));
  let index = 0;
  for (const fd of readable) poll.set([fd, POLLIN], 2 * index++);
  for (const fd of writable) poll.set([fd, POLLOUT], 2 * index++);
  waitFor(poll, timeoutMs);
  return descriptorsWith(poll, ANY_RESULT);
}

/** Descriptors that poll(2) has returned. */
export interface Polled {
  readonly ready: readonly number[];
  /** Those of kernel files that won't notify any more. */
  readonly failed: readonly number[];
}

/**
 * Waits until a descriptor of `readable` is readable, or a kernel file of `notifying`, such as memory.pressure, has something to notify of.
 * The kernel forgets a notification once it is returned. `timeoutMs` is in whole milliseconds. ppoll(2), Documentation/accounting/psi.rst
 */
export function waitNotified(
  readable: readonly number[],
  notifying: readonly number[],
  timeoutMs: number,
): Polled {
  const poll = new Int32Array(
    [...readable.map((fd) => [fd, POLLIN]), ...notifying.map((fd) => [fd, POLLPRI])].flat(),
  );
  waitFor(poll, timeoutMs);
  const failed = descriptorsWith(poll, POLLERR).filter((fd) => notifying.includes(fd));
  return { ready: descriptorsWith(poll, ANY_RESULT).filter((fd) => !failed.includes(fd)), failed };
}

/**
 * Waits until a kernel file with change notification, such as cgroup.events, has changed since the descriptor was last read; at most
 * `timeoutMs` whole milliseconds. poll(2), cgroups(7)
 */
export function waitChanged(fd: number, timeoutMs: number): void {
  waitFor(new Int32Array([fd, POLLPRI]), timeoutMs);
}

/**
 * Polls an array of struct pollfd, and leaves the results in it: each is two words, the descriptor, and `events` with `revents` in the upper
 * half.
 */
function waitFor(poll: Int32Array, timeoutMs: number | undefined): void {
  const timeout = timeoutMs === undefined ? null : timespec(timeoutMs);
  for (;;) {
    const result = trySyscall("ppoll", new Uint8Array(poll.buffer), poll.length / 2, timeout, null, 8);
    if (result === -EINTR) continue;
    if (result < 0)
      throw new SyscallError("ppoll", errnoName(-result), [...poll.filter(isDescriptor)].map(String));
    return;
  }
}

function isDescriptor(_word: number, index: number): boolean {
  return index % 2 === 0;
}

/** The descriptors that have one of these results. */
function descriptorsWith(poll: Int32Array, results: number): number[] {
  const fds: number[] = [];
  for (let word = 0; word < poll.length; word += 2)
    if ((((poll[word + 1] ?? 0) >>> 16) & results) !== 0) fds.push(poll[word] ?? -1);
  return fds;
}

function timespec(timeoutMs: number): Uint8Array {
  // Two little-endian numbers of 64 bits.
  const words = new Uint32Array([Math.floor(timeoutMs / 1000), 0, (timeoutMs % 1000) * 1_000_000, 0]);
  return new Uint8Array(words.buffer);
}
