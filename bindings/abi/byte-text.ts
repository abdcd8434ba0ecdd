import { nulTerminated } from "./c-string.ts";

/**
 * Byte text: a string with one character, of 0 to 255, for each byte. Paths and fields of files of the container's author are in whatever
 * encoding; in this form they can be searched, split and given back to the kernel without a loss.
 *
 * By way of Buffer's own functions: the latin1 of TextDecoder is windows-1252.
 */

export function byteText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** As the kernel takes it. */
export function nulTerminatedBytes(byteText: string): Uint8Array {
  return nulTerminated(Buffer.from(byteText, "latin1"));
}

/** Of what is UTF-8 in the kernel: text of a config. */
export function toByteText(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/** For messages: what is no UTF-8 becomes replacement characters. */
export function fromByteText(byteText: string): string {
  return Buffer.from(byteText, "latin1").toString();
}
