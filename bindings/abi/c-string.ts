/**
 * Text as the kernel takes it: NUL-terminated UTF-8.
 *
 * Buffer.from would do the same, but it is one of the engine's functions that are compiled at their first use, which takes longer
 * than all else here.
 */
export function nulTerminated(text: string): Uint8Array {
  const BYTES_PER_UNIT = 3; // of UTF-16, at most
  const bytes = Buffer.allocUnsafe(BYTES_PER_UNIT * text.length + 1);
  const length = bytes.write(text);
  bytes[length] = 0;
  return bytes.subarray(0, length + 1);
}
