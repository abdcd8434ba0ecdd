/** Blocks the thread. Parts of a millisecond count. */
export function sleep(milliseconds: number): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(cell, 0, 0, milliseconds);
}
