import { syscall } from "../ffi/syscall.ts";

/**
 * An unpredictable number of 64 bits. Each comes from the kernel: `Math.random` and the engine's cryptographic library keep their state in
 * memory, and two programs that are resumed from the same image would get the same numbers. getrandom(2)
 */
export function randomNumber(): bigint {
  const number = new BigUint64Array(1);
  // Up to 256 bytes arrive at once, and no signal interrupts the call.
  syscall("getrandom", [new Uint8Array(number.buffer), number.byteLength, 0]);
  return number[0] ?? 0n;
}
