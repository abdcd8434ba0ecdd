import { EINTR, errnoName } from "../abi/errno.ts";
import { trySyscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";

export const POLLIN = 1;
const POLLPRI = 2;
const POLLOUT = 4;

/**
 * Waits until a descriptor can be read (a pidfd: until its process has ended), for `timeoutMs` at most. Returns whether it can.
 * poll(2), pidfd_open(2)
 */
export function waitReadable(fd: number, timeoutMs: number): boolean {
  return waitAnyReadable([fd], timeoutMs).length > 0;
}

/** As waitReadable, for several: returns those that can be read. The timeout is in whole milliseconds. */
export function waitAnyReadable(fds: readonly number[], timeoutMs: number): number[] {
  return waitReady(fds, [], timeoutMs);
}

/**
 * Waits until one of the descriptors can be read, or one of the others be written to, or neither will ever be: there is an end or an
 * error to find out then. Without a timeout, which is in whole milliseconds, as long as that takes. Returns those. ppoll(2)
 */
export function waitReady(
  readable: readonly number[],
  writable: readonly number[],
  timeoutMs?: number,
): number[] {
  const fds = [...readable, ...writable];
  return waitFor(fds, (index) => (index < readable.length ? POLLIN : POLLOUT), timeoutMs);
}

/**
 * Waits until the kernel changes a file of it that tells so, as cgroup.events does, since the descriptor was last read; for `timeoutMs`
 * at most. poll(2), cgroups(7)
 */
export function waitChanged(fd: number, timeoutMs: number): void {
  waitFor([fd], () => POLLPRI, timeoutMs);
}

function waitFor(fds: readonly number[], events: (index: number) => number, timeoutMs?: number): number[] {
  const poll = new Int32Array(2 * fds.length);
  fds.forEach((fd, index) => {
    poll[2 * index] = fd;
    poll[2 * index + 1] = events(index);
  });
  const timeout = timeoutMs === undefined ? null : timespec(timeoutMs);
  for (;;) {
    const ready = trySyscall("ppoll", new Uint8Array(poll.buffer), fds.length, timeout, null, 8);
    if (ready === -EINTR) continue;
    if (ready < 0) throw new SyscallError("ppoll", errnoName(-ready), fds.map(String));
    // The upper half of the second word is `revents`.
    return fds.filter((_, index) => (poll[2 * index + 1] ?? 0) >>> 16 !== 0);
  }
}

function timespec(timeoutMs: number): Uint8Array {
  const seconds = BigInt(Math.floor(timeoutMs / 1000));
  const nanoseconds = BigInt((timeoutMs % 1000) * 1_000_000);
  return new Uint8Array(BigInt64Array.of(seconds, nanoseconds).buffer);
}
