import { nulTerminated } from "../../../bindings/abi/c-string.ts";

/** Options of file systems: single words for fsconfig(2), and one string with all of them for mount(2). */

/** fsconfig(2) refuses longer keys and values with EINVAL. */
const MAX_WORD = 255;

/** mount(2) copies one page and silently cuts off the rest. The last byte is a NUL. */
export const MAX_DATA = 4095;

/** Length of a text in bytes, as the kernel counts it. */
export function byteLength(text: string): number {
  return nulTerminated(text).length - 1;
}

/** Whether a word is an option of SELinux. Its value may contain commas, and then stands in quotes, which the kernel strips. */
export function isContext(word: string): boolean {
  return /^(?:fs|def|root)?context=/.test(word);
}

/**
 * Splits one string of `options` at its commas, as the kernel does with mount(2)'s data. In options of overlay a backslash escapes a comma
 * that belongs to a path; overlay itself strips it.
 */
export function dataWords(text: string, type: string): string[] {
  if (!text.includes(",") && !text.includes('"')) return [text];
  const words: string[] = [];
  let word = "";
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    const character = text[index] ?? "";
    if (character === "\\" && type === "overlay") {
      index += 1;
      word += character + (text[index] ?? "");
    } else if (character === '"' && isContext(word)) {
      quoted = !quoted;
    } else if (character === "," && !quoted) {
      words.push(word);
      word = "";
    } else {
      word += character;
    }
  }
  return [...words, word].filter((one) => one !== "");
}

/** Joins all options to mount(2)'s data. */
export function joinData(words: readonly string[]): string {
  return words
    .map((word) => {
      if (!isContext(word) || !word.includes(",")) return word;
      const value = word.indexOf("=") + 1;
      return `${word.slice(0, value)}"${word.slice(value)}"`;
    })
    .join(",");
}

/**
 * Whether only mount(2) can take the options: one is too long for fsconfig(2), such as a list of overlay layers; or an overlay has a path
 * with a comma, which fsconfig(2) takes only since Linux 6.5.
 */
export function needsLegacyMount(type: string, source: string, words: readonly string[]): boolean {
  if (type === "overlay" && words.some((word) => word.includes(",") && !isContext(word))) return true;
  return isTooLong(source) || words.some(wordIsTooLong);
}

function wordIsTooLong(word: string): boolean {
  const equals = word.indexOf("=");
  return equals < 0 ? isTooLong(word) : isTooLong(word.slice(0, equals)) || isTooLong(word.slice(equals + 1));
}

function isTooLong(text: string): boolean {
  // Cheap test first: a UTF-16 unit is at most three bytes of UTF-8.
  return 3 * text.length > MAX_WORD && byteLength(text) > MAX_WORD;
}
