import { describe, expect, test } from "vitest";
import { RuntsError } from "../../errors.ts";
import { MAXIMUM_BYTES, readJson } from "./reader.ts";
import { scanJson } from "./scanner.ts";

function failure(input: string | Uint8Array): RuntsError {
  try {
    readJson(input, "config.json");
  } catch (error) {
    if (error instanceof RuntsError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** A small pseudo-random generator (Lehmer), so that failures can be reproduced. */
function randomSource(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state * 48271) % 2147483647;
    return state % limit;
  };
}

function randomDocument(random: (limit: number) => number, depth: number): unknown {
  const words = [
    "",
    "a",
    "é",
    "\u0000x",
    '"quoted"',
    "back\\slash",
    "/~",
    "😀",
    "\ud800",
    "__proto__",
    "17",
    "a, 1",
  ];
  const scalars: unknown[] = [null, true, false, 0, -1, 1.5, 1e300, 2 ** 53 - 1, words[random(words.length)]];
  const kind = depth === 0 ? 0 : random(3);
  if (kind === 0) return scalars[random(scalars.length)];
  const items = Array.from({ length: random(5) }, () => randomDocument(random, depth - 1));
  if (kind === 1) return items;
  return Object.fromEntries(items.map((item) => [words[random(words.length)], item]));
}

describe("readJson", () => {
  test("reads random documents as JSON.parse does, in every layout, and so does the scanner alone", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const expected = randomDocument(randomSource(seed), 4);
      for (const indent of [undefined, 1, "\t", 4]) {
        const text = JSON.stringify(expected, undefined, indent);
        expect(readJson(text, "x").value).toEqual(expected);
        expect(readJson(` ${text.replaceAll(":", " : ")}\r\n`, "x").value).toEqual(
          JSON.parse(text.replaceAll(":", " : ")),
        );
        expect(scanJson(text, "x", true).value).toEqual(expected);
      }
    }
  });

  test.each([
    ["18446744073709551615", 18446744073709551615n],
    ["18446744073709552000", 18446744073709552000n],
    ["-9223372036854775808", -9223372036854775808n],
    ["9007199254740993", 9007199254740993n],
    ["9007199254740991", 9007199254740991],
    ["1234567890123456", 1234567890123456],
    ["1e3", 1000],
    ["-0", -0],
  ])("keeps %s exact in a list, in an object and alone", (token, expected) => {
    expect(readJson(`[1, ${token}]`, "x").value).toEqual([1, expected]);
    expect(readJson(`{\n "a": ${token},\n "b": [${token},${token}]\n}`, "x").value).toEqual({
      a: expected,
      b: [expected, expected],
    });
    expect(readJson(token, "x").value).toEqual(expected);
  });

  test.each([
    ["digits in a string", { a: "x, 18446744073709551615, y", b: "[1234567890123456789]" }],
    ["digits and a NUL in a string", { a: "\u00001844674407370955161", b: "\u0000" }],
    ["escapes as Go writes them", { a: "<&>" }],
  ])("leaves %s alone", (_, expected) => {
    const text = JSON.stringify(expected).replaceAll("<", "\\u003c");
    expect(readJson(text, "x").value).toEqual(expected);
    expect(readJson(text.replace("{", '{"wide":18446744073709551615,'), "x").value).toEqual({
      wide: 18446744073709551615n,
      ...expected,
    });
  });

  test("does not let a member named __proto__ change a prototype", () => {
    const value = scanJson('{"__proto__":{"a":1}}', "x", false).value;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.keys(value ?? {})).toEqual(["__proto__"]);
  });

  test("reports every duplicate name with pointer and line", () => {
    const error = failure('{\n "a/b": {"x": 1,\n  "x": 2},\n "c": 1,\n "c": 1\n}');
    expect(error.message).toBe(
      "config.json: line 3: /a~1b/x: duplicate name, first on line 2; line 5: /c: duplicate name, first on line 4",
    );
    expect(error.issues.map(({ pointer, line }) => [pointer, line])).toEqual([
      ["/a~1b/x", 3],
      ["/c", 5],
    ]);
  });

  test("finds duplicate names with equal values, beside wide integers and behind escapes", () => {
    expect(failure('{"a":1,"a":1}').message).toContain("duplicate name");
    expect(failure('{"a":18446744073709551615,"a":18446744073709551615}').message).toContain(
      "duplicate name",
    );
    expect(failure('{"a":1,"\\u0061":1}').message).toContain("duplicate name");
  });

  test("finds the line of the value at a pointer", () => {
    const { lineAt } = readJson('{\n "a": [1,\n  {"b~/": 2}\n ]\n}\n', "x");
    const lines = ["", "/a", "/a/0", "/a/1", "/a/1/b~0~1", "/none", "/a/2"].map(lineAt);
    expect(lines).toEqual([1, 2, 2, 3, 3, undefined, undefined]);
  });

  test.each([
    ["", 1, 1, "a value", "the end of the file"],
    ['{"a":1,\n"b":[1,2,]}', 2, 10, "a value", '"]"'],
    ['{"a":1,}', 1, 8, 'a name in double quotes or "}"', '"}"'],
    ['{"a" 1}', 1, 6, '":"', '"1"'],
    ['{"a":01}', 1, 7, '"," or "}"', '"1"'],
    ["[1 2]", 1, 4, '"," or "]"', '"2"'],
    ['{"a":1} x', 1, 9, "the end of the file", '"x"'],
    ['["a\\x"]', 1, 4, "a character or an escape that a string may hold", '"\\\\"'],
    ['["a\u0001"]', 1, 4, "a character or an escape that a string may hold", '"\\u0001"'],
    ['["a', 1, 4, "a character or an escape that a string may hold", "the end of the file"],
    ["\u00a0{}", 1, 1, "a value", '"\u00a0"'],
    ["NaN", 1, 1, "a value", '"N"'],
  ])("refuses %j and says where and what was expected", (text, line, column, expected, found) => {
    const problem = `expected ${expected}, found ${found}`;
    expect(failure(text).message).toBe(
      `config.json: line ${line}, column ${column}: not valid JSON: ${problem}`,
    );
    const message = `not valid JSON at column ${column}: ${problem}`;
    expect(failure(text).issues).toEqual([{ pointer: "", line, message }]);
  });

  test("accepts 512 levels of nesting and refuses more, in every form", () => {
    expect(() => readJson("[".repeat(512) + "]".repeat(512), "x")).not.toThrow();
    expect(failure("[".repeat(513) + "]".repeat(513)).message).toContain("at most 512 levels");
    expect(failure('{"a":'.repeat(100_000)).message).toContain("at most 512 levels");
    expect(() => readJson(`[${Array(2000).fill("[]").join()}]`, "x")).not.toThrow();
  });

  test("refuses a byte order mark, broken UTF-8 and a file that is too large", () => {
    expect(failure(Buffer.from("\ufeff{}")).message).toContain("byte order mark");
    expect(failure("\ufeff{}").message).toContain("expected a value");
    expect(failure(Buffer.from([0x22, 0xc3, 0x28, 0x22])).message).toBe("config.json: not valid UTF-8");
    expect(failure(Buffer.alloc(MAXIMUM_BYTES + 1, 32)).message).toBe("config.json: larger than 16 MiB");
  });
});
