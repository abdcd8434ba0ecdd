/**
 * Text as the kernel takes it: NUL-terminated UTF-8. Names that are no text, as of files that somebody else has made, are bytes.
 *
 * Buffer.from would do the same, but it is one of the engine's functions that are compiled at their first use, which takes longer
 * than all else here.
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

/** A name for a person to read: bytes that are no text, or that a terminal would act on, as `\\xff`. */
export function shownName(name: string | Uint8Array): string {
  if (typeof name === "string") return name;
  const bytes = Buffer.from(name);
  const text = bytes.toString("utf8");
  if (!/[\p{C}\p{Zl}\p{Zp}]/u.test(text) && Buffer.from(text).equals(bytes)) return text;
  return bytes
    .toString("latin1")
    .replace(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
