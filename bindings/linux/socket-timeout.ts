import { SO_RCVTIMEO, SO_SNDTIMEO, SOL_SOCKET } from "../abi/socket.ts";
import { syscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";

/**
 * Sets a time limit for connecting, sending and receiving, which fail with EAGAIN after it. The limit belongs to the socket, so a process
 * that receives the socket has it, too. socket(7)
 */
export function setSocketTimeout(socket: number, seconds: number): void {
  const MICROSECONDS = 1_000_000;
  // A struct timeval of 0 means no limit.
  const time = Math.max(1, Math.ceil(seconds * MICROSECONDS));
  // Two little-endian numbers of 64 bits.
  const words = new Uint32Array([Math.floor(time / MICROSECONDS), 0, time % MICROSECONDS, 0]);
  const limit = new Uint8Array(words.buffer);
  for (const option of [SO_RCVTIMEO, SO_SNDTIMEO])
    syscall("setsockopt", [socket, SOL_SOCKET, option, limit, limit.length], ["a time limit"]);
}

/** Turns the EAGAIN of a socket with a time limit into ETIMEDOUT, with the name of the missing event; other errors stay. */
export function withTimeout(error: unknown, waitedFor: string): unknown {
  if (!(error instanceof SyscallError) || error.errno !== "EAGAIN") return error;
  return new SyscallError(error.call, "ETIMEDOUT", [waitedFor]);
}
