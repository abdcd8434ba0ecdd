import { SO_RCVTIMEO, SO_SNDTIMEO, SOL_SOCKET } from "../abi/socket.ts";
import { syscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";

/**
 * Bounds what a socket waits for: connecting, sending and receiving fail with EAGAIN when the time is over. The limit belongs to the
 * socket, and so to whoever it is passed on to as well. socket(7)
 */
export function limitWaiting(socket: number, seconds: number): void {
  const MICROSECONDS = 1_000_000;
  // A struct timeval of 0 would be no limit.
  const time = Math.max(1, Math.ceil(seconds * MICROSECONDS));
  // Two numbers of 64 bits, lower half first.
  const words = new Uint32Array([Math.floor(time / MICROSECONDS), 0, time % MICROSECONDS, 0]);
  const limit = new Uint8Array(words.buffer);
  for (const option of [SO_RCVTIMEO, SO_SNDTIMEO])
    syscall("setsockopt", [socket, SOL_SOCKET, option, limit, limit.length], ["a time limit"]);
}

/** The error of a socket whose time is over, as that of a timer. */
export function withTimeout(error: unknown, waitedFor: string): unknown {
  if (!(error instanceof SyscallError) || error.errno !== "EAGAIN") return error;
  return new SyscallError(error.call, "ETIMEDOUT", [waitedFor]);
}
