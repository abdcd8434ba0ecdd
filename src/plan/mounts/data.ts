import { nulTerminated } from "../../../bindings/abi/c-string.ts";

/** Options of file systems: words for fsconfig(2), and the one string of them all that mount(2) takes. */

/** fsconfig(2) refuses longer keys and values with EINVAL. */
const MAX_WORD = 255;

/** mount(2) copies a page, and cuts what is beyond it off without a word. The last byte is a NUL. */
export const MAX_DATA = 4095;

/** Text as the kernel counts it. */
export function byteLength(text: string): number {
  return nulTerminated(text).length - 1;
}

/** The options of SELinux, whose values may have commas: in quotation marks, which the kernel takes off. */
export function isContext(word: string): boolean {
  return /^(?:fs|def|root)?context=/.test(word);
}

/**
 * The options in one word of a config, which the runtimes have always handed to mount(2): they end at commas. Overlay has a backslash
 * before one that belongs to a path, and takes it off itself.
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

/** All options as mount(2) takes them. */
export function joinedData(words: readonly string[]): string {
  return words
    .map((word) => {
      if (!isContext(word) || !word.includes(",")) return word;
      const value = word.indexOf("=") + 1;
      return `${word.slice(0, value)}"${word.slice(value)}"`;
    })
    .join(",");
}

/**
 * Whether only mount(2) can take the options: there are longer ones than fsconfig(2) takes, such as the layers of an overlay; or
 * an overlay has a path with a comma, which fsconfig(2) takes for overlay since Linux 6.5 only.
 */
export function needsOneString(type: string, source: string, words: readonly string[]): boolean {
  if (type === "overlay" && words.some((word) => word.includes(",") && !isContext(word))) return true;
  return isTooLong(source) || words.some(wordIsTooLong);
}

function wordIsTooLong(word: string): boolean {
  const equals = word.indexOf("=");
  return equals < 0 ? isTooLong(word) : isTooLong(word.slice(0, equals)) || isTooLong(word.slice(equals + 1));
}

function isTooLong(text: string): boolean {
  // A unit of UTF-16 has three bytes at most.
  return 3 * text.length > MAX_WORD && byteLength(text) > MAX_WORD;
}
