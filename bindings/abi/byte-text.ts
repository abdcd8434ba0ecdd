/**
 * Byte text: a string with one character, of 0 to 255, for each byte. Paths and fields of files of the container's author are in whatever
 * encoding; in this form they can be searched, split and given back to the kernel without a loss.
 *
 * By way of Buffer's own functions: the latin1 of TextDecoder is windows-1252. What each container needs does without Buffer.from, as
 * in c-string.ts.
 */

export function byteText(bytes: Uint8Array): string {
  const copy = Buffer.allocUnsafe(bytes.length);
  copy.set(bytes);
  return copy.toString("latin1");
}

/** As the kernel takes it. */
export function nulTerminatedBytes(byteText: string): Uint8Array {
  const bytes = Buffer.allocUnsafe(byteText.length + 1);
  bytes.write(byteText, "latin1");
  bytes[byteText.length] = 0;
  return bytes;
}

/** Of what is UTF-8 in the kernel: text of a config. */
export function toByteText(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/** For messages: what is no UTF-8 becomes replacement characters. */
export function fromByteText(byteText: string): string {
  return Buffer.from(byteText, "latin1").toString();
}
