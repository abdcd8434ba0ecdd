/**
 * Text as the kernel takes it: NUL-terminated UTF-8. Names that may not be text, such as those of other people's files, are bytes.
 *
 * Buffer.from could do this, but the engine compiles it at its first use, which takes longer than everything else here.
 */
export function nulTerminated(text: string | Uint8Array): Uint8Array {
  if (typeof text !== "string") {
    const copy = new Uint8Array(text.length + 1);
    copy.set(text);
    return copy;
  }
  const BYTES_PER_UNIT = 3; // of UTF-16, at most
  const bytes = Buffer.allocUnsafe(BYTES_PER_UNIT * text.length + 1);
  const length = bytes.write(text);
  bytes[length] = 0;
  return bytes.subarray(0, length + 1);
}

/** A name for messages: bytes that are not UTF-8, or that a terminal would act on, become `\\xff`. */
export function shownName(name: string | Uint8Array): string {
  if (typeof name === "string") return name;
  const bytes = Buffer.from(name);
  const text = bytes.toString("utf8");
  if (!/[\p{C}\p{Zl}\p{Zp}]/u.test(text) && Buffer.from(text).equals(bytes)) return text;
  return bytes
    .toString("latin1")
    .replace(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
