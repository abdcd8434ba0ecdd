/**
 * Escapes text for a terminal, or for a log that is read in one. It may contain any character from a config, a container or a file name. A
 * terminal acts on control characters, including C1 (U+0080 to U+009F), and shows text after one of Unicode's Bidi_Control in another
 * order; some viewers begin a new line at U+2028 and U+2029. All of these are written as numbers. The expressions are compiled where they
 * are used: Unicode's classes take the engine longer than everything else at start-up.
 */
const active = () => /(?!\t)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;
const activeInLines = () => /(?![\n\t])[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

const LINE_BREAKS: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r" };

/** Escapes text that has to stay on one line, such as an error or a table cell. */
export function oneLine(text: string): string {
  return text.replaceAll(active(), (character) => LINE_BREAKS[character] ?? numbered(character));
}

/** Joins lines, escaping each, so that quoted text can't begin a new line. */
export function textOfLines(lines: readonly string[]): string {
  return lines.map((line) => `${oneLine(line)}\n`).join("");
}

/** Escapes text of several lines; its newlines and tabs stay. */
export function printable(text: string): string {
  return text.replaceAll(activeInLines(), numbered);
}

/** Escapes JSON. Only its strings can contain such characters, so it stays JSON with the same values. */
export function printableJson(json: string): string {
  return json.replaceAll(activeInLines(), escaped);
}

/** `\x1b`, `\u202e` */
function numbered(character: string): string {
  const code = character.charCodeAt(0);
  return code > 0xff ? escaped(character) : `\\x${code.toString(16).padStart(2, "0")}`;
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
