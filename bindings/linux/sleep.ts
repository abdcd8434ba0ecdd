/** Blocks the thread; takes fractions of a millisecond, too. */
export function sleep(milliseconds: number): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(cell, 0, 0, milliseconds);
}
