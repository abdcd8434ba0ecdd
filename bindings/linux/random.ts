import { syscall } from "../ffi/syscall.ts";

/**
 * A number of 64 bits that nobody can know before. From the kernel, for each use: `Math.random` and the engine's cryptographic library
 * have their state in memory, and two programs that were resumed from the same memory would get the same numbers. getrandom(2)
 */
export function randomNumber(): bigint {
  const number = new BigUint64Array(1);
  // So few bytes come all at once, and no signal interrupts the call.
  syscall("getrandom", [new Uint8Array(number.buffer), number.byteLength, 0]);
  return number[0] ?? 0n;
}
