import { describe, expect, it } from "vitest";
import { linesOf, tokensOf } from "./config-lines.ts";

const textsOf = (text: string) =>
  linesOf(tokensOf(text)).map(({ tokens }) => tokens.map((token) => token.text).join(""));

const valuesOf = (text: string) =>
  tokensOf(text).flatMap(({ begins, pointer, text: value }) => (begins ? [[pointer, value]] : []));

describe("tokensOf", () => {
  it("gives each value its JSON pointer", () => {
    expect(valuesOf('{"a": [1, {"b/c": "x,}"}, []], "d~": null, "e": {}}')).toEqual([
      ["", "{"],
      ["/a", "["],
      ["/a/0", "1"],
      ["/a/1", "{"],
      ["/a/1/b~1c", '"x,}"'],
      ["/a/2", "["],
      ["/d~0", "null"],
      ["/e", "{"],
    ]);
  });

  it("reads escapes in names and values", () => {
    expect(valuesOf('{"a\\"\\u0062": "\\\\", "c": "\\""}')).toEqual([
      ["", "{"],
      ['/a"b', '"\\\\"'],
      ["/c", '"\\""'],
    ]);
  });
});

describe("linesOf", () => {
  it("keeps the lines of a file, blank ones too", () => {
    expect(textsOf('{\n\n  "a": [1,\n2]\n}\n')).toEqual(["{", "", '  "a": [1,', "2]", "}"]);
  });

  it("lays out a config that is on one line", () => {
    const config = { a: [1, { b: "[" }], c: {}, d: [], e: { f: [[2]] } };
    expect(textsOf(`${JSON.stringify(config)}\n`).join("\n")).toBe(JSON.stringify(config, undefined, 2));
  });
});
