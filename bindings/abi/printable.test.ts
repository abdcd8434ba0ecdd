import { expect, it } from "vitest";
import { oneLine, printable, printableJson, textOfLines } from "./printable.ts";

const code = (character: string) => `U+${character.charCodeAt(0).toString(16)}`;

const CONTROLS = Array.from({ length: 0xa0 }, (_, value) => String.fromCharCode(value)).filter(
  (character) => character < " " || character > "~",
);
const REORDERING = [..."\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"];
const SEPARATORS = ["\u2028", "\u2029"];
const ALL = [...CONTROLS, ...REORDERING, ...SEPARATORS];

const ORDINARY = "käse € 𝕏 \ud83d\udc68\u200d\ud83d\udcbb ~ \\n \\x1b שלום /a/b: permission denied";

it.each([oneLine, printable, printableJson])("%o: leaves ordinary text as it is", (make) => {
  expect(make(ORDINARY)).toBe(ORDINARY);
});

it.each(ALL)(
  "%j: no character that a terminal acts on remains, except tabs and, in text of several lines, newlines",
  (character) => {
    const text = `a${character}b`;
    const left = character === "\t" ? text : expect.not.stringContaining(character);
    expect(oneLine(text), code(character)).toEqual(left);
    expect(printable(text), code(character)).toEqual(character === "\n" ? text : left);
  },
);

it.each(ALL)("%j: JSON keeps its value and has no such character", (character) => {
  const value = { [`a${character}b`]: [character, 1] };
  const json = printableJson(JSON.stringify(value, undefined, 2));
  expect(JSON.parse(json)).toEqual(value);
  expect(json.replaceAll(/\n */g, "")).toMatch(/^[ -~]*$/);
});

it("writes each such character as its number", () => {
  expect(oneLine("\x1b[31m\x7f\x9b\u202e\r\n\tx")).toBe("\\x1b[31m\\x7f\\x9b\\u202e\\r\\n\tx");
  expect(printable("\x9b\r\n\tx\u2066")).toBe("\\x9b\\x0d\n\tx\\u2066");
  expect(printableJson('"\x9b\u202e"')).toBe('"\\u009b\\u202e"');
});

it("ends each line with a newline, and escapes newlines within", () => {
  expect(textOfLines([])).toBe("");
  expect(textOfLines(["a", "b\nBAD\u2028c"])).toBe("a\nb\\nBAD\\u2028c\n");
});
