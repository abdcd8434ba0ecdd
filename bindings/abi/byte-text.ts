/**
 * Byte text: a string with one character, of code 0 to 255, per byte. Paths and file contents of the container's author may be in any
 * encoding; in this form they can be searched, split and passed back to the kernel without loss.
 *
 * Buffer decodes it, since TextDecoder's latin1 is windows-1252. Functions that every container needs avoid Buffer.from, for the reason in
 * c-string.ts.
 */

export function byteText(bytes: Uint8Array): string {
  const copy = Buffer.allocUnsafe(bytes.length);
  copy.set(bytes);
  return copy.toString("latin1");
}

/** The bytes of byte text, NUL-terminated for the kernel. */
export function nulTerminatedBytes(byteText: string): Uint8Array {
  const bytes = Buffer.allocUnsafe(byteText.length + 1);
  bytes.write(byteText, "latin1");
  bytes[byteText.length] = 0;
  return bytes;
}

/** Byte text of a normal string, which the kernel gets as UTF-8. */
export function toByteText(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/** Decodes byte text as UTF-8, for messages; invalid bytes become replacement characters. */
export function fromByteText(byteText: string): string {
  return Buffer.from(byteText, "latin1").toString();
}
