import { errnoName } from "../abi/errno.ts";
import { trySyscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";

const POLLIN = 1;
const EINTR = 4;

/**
 * Waits until a descriptor can be read (a pidfd: until its process has ended), for `timeoutMs` at most. Returns whether it can.
 * poll(2), pidfd_open(2)
 */
export function waitReadable(fd: number, timeoutMs: number): boolean {
  const poll = new Int32Array([fd, POLLIN]);
  const timeout = new BigInt64Array([
    BigInt(Math.floor(timeoutMs / 1000)),
    BigInt((timeoutMs % 1000) * 1_000_000),
  ]);
  for (;;) {
    const ready = trySyscall(
      "ppoll",
      new Uint8Array(poll.buffer),
      1,
      new Uint8Array(timeout.buffer),
      null,
      8,
    );
    if (ready === -EINTR) continue;
    if (ready < 0) throw new SyscallError("ppoll", errnoName(-ready), [String(fd)]);
    return ready > 0;
  }
}
