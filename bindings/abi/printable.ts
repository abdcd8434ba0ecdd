/**
 * Text for a person's terminal, or for a log that is looked at in one. A config, a container and whoever names its files may put any
 * character into it: a terminal acts on control characters, C1 (U+0080 to U+009F) among them, and shows what follows one of Unicode's
 * Bidi_Control in another order; some viewers begin a new line at U+2028 and U+2029. Each is written as its number. The expressions are
 * made where they are used: Unicode's classes take the engine longer than all else that is made at the start.
 */
const active = () => /(?!\t)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;
const activeInLines = () => /(?![\n\t])[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

const LINE_BREAKS: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r" };

/** Text on one line: an error, an entry of a table. */
export function oneLine(text: string): string {
  return text.replaceAll(active(), (character) => LINE_BREAKS[character] ?? numbered(character));
}

/** Lines of text: what one of them quotes begins no other. */
export function textOfLines(lines: readonly string[]): string {
  return lines.map((line) => `${oneLine(line)}\n`).join("");
}

/** Text of several lines, whose ends and tabs are those of whoever has written it. */
export function printable(text: string): string {
  return text.replaceAll(activeInLines(), numbered);
}

/** The same of JSON, of which only strings can have such characters, so that it stays JSON with the same values. */
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
