import { EINTR, errnoName } from "../abi/errno.ts";
import { trySyscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";

export const POLLIN = 1;

/**
 * Waits until a descriptor can be read (a pidfd: until its process has ended), for `timeoutMs` at most. Returns whether it can.
 * poll(2), pidfd_open(2)
 */
export function waitReadable(fd: number, timeoutMs: number): boolean {
  return waitAnyReadable([fd], timeoutMs).length > 0;
}

/** As waitReadable, for several: returns those that can be read. The timeout is in whole milliseconds. */
export function waitAnyReadable(fds: readonly number[], timeoutMs: number): number[] {
  const poll = new Int32Array(fds.flatMap((fd) => [fd, POLLIN]));
  const timeout = new BigInt64Array([
    BigInt(Math.floor(timeoutMs / 1000)),
    BigInt((timeoutMs % 1000) * 1_000_000),
  ]);
  for (;;) {
    const ready = trySyscall(
      "ppoll",
      new Uint8Array(poll.buffer),
      fds.length,
      new Uint8Array(timeout.buffer),
      null,
      8,
    );
    if (ready === -EINTR) continue;
    if (ready < 0) throw new SyscallError("ppoll", errnoName(-ready), fds.map(String));
    // The upper half of the second word is `revents`.
    return fds.filter((_, index) => (poll[2 * index + 1] ?? 0) >>> 16 !== 0);
  }
}
