import { describe, expect, test } from "vitest";
import { fuzzing, Random } from "../../bindings/random.test-support.ts";
import { RuntsError } from "../errors.ts";
import { readJson } from "./json/reader.ts";
import { MAXIMUM_DEPTH, scanJson } from "./json/scanner.ts";

/**
 * Compares the reader with JSON.parse. It must accept the same documents, except those with duplicate names or too much nesting, and
 * return the same values, except for integers that JSON.parse rounds.
 */

const { cases, seed } = fuzzing(8000);

type Result = { readonly value: unknown } | { readonly error: unknown };

function outcome(read: () => unknown): Result {
  try {
    return { value: read() };
  } catch (error) {
    return { error };
  }
}

const NAMES = [
  "a",
  "b",
  "",
  "__proto__",
  "constructor",
  "toString",
  "a/b",
  "~",
  "é",
  "\u0000",
  "1",
  "length",
];
const NUMBERS = [
  ..."0 -0 1 -1 0.10 1e3 1E+3 1e-3 1e400 -1e400 0e0 9007199254740991 9007199254740992 9007199254740993".split(
    " ",
  ),
  ..."-9007199254740993 18446744073709551615 18446744073709551616 -9223372036854775808".split(" "),
  ..."1000000000000000 123456789012345678901234567890 1.5e300 0.1234567890123456789".split(" "),
  "9".repeat(39),
  "9".repeat(41),
  "9".repeat(400),
];
const STRINGS = [
  '""',
  '"a"',
  '"é€𐍈"',
  '"\\u00e9\\ud834\\udd1e"',
  '"\\ud800"',
  '"\\u0000"',
  '"\\u00001234567890123456789"',
  '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
  '"1234567890123456789"',
  '": 1234567890123456789,"',
  '"\u007f\u2028"',
];
/** Tokens that mutations insert. Most are not valid JSON. */
const TOKENS = [
  ...'{ } [ ] , : " \\ / 0 - + . e E t n 00 01 -01 +1 1. .5 1e NaN Infinity true false null undefined'.split(
    " ",
  ),
  ..." \t\n\r\v\f\u00a0\ufeff\u2028\u0000".split(""),
  "'a'",
  "//",
  "/**/",
  '"a":1,"a":2',
  '"\\x"',
  '"\\u12"',
  '"\n"',
  "1234567890123456789",
  "\\u0000",
];

class Documents {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  document(): string {
    const text = this.#value(0);
    return this.#random.chance(0.2) ? this.#blank() + text + this.#blank() : text;
  }

  mutated(): string {
    let text = this.document();
    for (let changes = 1 + this.#random.below(3); changes > 0; changes--) {
      const at = this.#random.below(text.length + 1);
      const cut = this.#random.pick([0, 0, 1, 1, 2, 5]);
      const put = this.#random.pick([
        "",
        this.#random.pick(TOKENS),
        text.slice(this.#random.below(at + 1), at),
      ]);
      text = text.slice(0, at) + put + text.slice(at + cut);
    }
    return text;
  }

  #value(depth: number): string {
    const kind = this.#random.below(depth > 5 ? 3 : 6);
    if (kind === 0) return this.#random.pick(NUMBERS);
    if (kind === 1) return this.#random.pick(STRINGS);
    if (kind === 2) return this.#random.pick(["true", "false", "null", "[]", "{}"]);
    const items = Array.from({ length: this.#random.below(5) }, () => this.#value(depth + 1));
    const blank = this.#random.chance(0.3) ? this.#blank() : "";
    if (kind === 3) return `[${items.join(`${blank},`)}${blank}]`;
    const members = items.map(
      (item) => `${JSON.stringify(this.#random.pick(NAMES))}${blank}:${blank}${item}`,
    );
    return `{${blank}${members.join(`,${blank}`)}}`;
  }

  #blank(): string {
    return this.#random.pick([" ", "\n", "\n  ", "\t", "\r\n", " \n\t"]);
  }
}

/** Whether two values are the same, including -0 and names like `__proto__`. A bigint equals the number to which JSON.parse rounds it. */
function same(actual: unknown, expected: unknown): boolean {
  if (typeof actual === "bigint") return !Number.isSafeInteger(expected) && Number(actual) === expected;
  if (typeof actual !== "object" || actual === null) return Object.is(actual, expected);
  if (typeof expected !== "object" || expected === null) return false;
  if (Array.isArray(actual) !== Array.isArray(expected)) return false;
  const [mine, theirs] = [Object.entries(actual), Object.entries(expected)];
  if (mine.length !== theirs.length) return false;
  const byName = new Map(theirs);
  return mine.every(([name, value]) => byName.has(name) && same(value, byName.get(name)));
}

function membersOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const inner = Object.values(value).reduce((sum: number, each) => sum + membersOf(each), 0);
  return inner + (Array.isArray(value) ? 0 : Object.keys(value).length);
}

/** Whether a valid document has duplicate names, which JSON.parse drops: it then has more colons outside of strings than members. */
function hasDuplicates(text: string, value: unknown): boolean {
  const colons = text.replace(/"(?:[^"\\]|\\.)*"/g, "").split(":").length - 1;
  return colons !== membersOf(value);
}

/** Describes how the reader was wrong about a document; undefined if it was right. */
function fault(text: string): string | undefined {
  const expected = outcome(() => JSON.parse(text));
  const actual = outcome(() => readJson(text, "doc").value);
  const fromBytes = outcome(() => readJson(Buffer.from(text), "doc").value);
  if ("error" in actual && !(actual.error instanceof RuntsError)) return `no error of ours: ${actual.error}`;
  // A lone surrogate can't be encoded in UTF-8.
  const isWellFormed = !/[\ud800-\udfff]/u.test(text);
  if (isWellFormed && "error" in fromBytes !== "error" in actual) return "bytes and text differ";
  if ("error" in expected)
    return "error" in actual ? positionFault(actual.error, text) : "accepted, JSON.parse refuses";
  const duplicates = hasDuplicates(text, expected.value);
  if ("error" in actual) return duplicates ? undefined : `refused: ${String(actual.error)}`;
  if (duplicates) return "a name twice was accepted";
  if (!same(actual.value, expected.value)) return "another value";
  const scanned = scanJson(text, "doc", true);
  if (!same(scanned.value, expected.value) || scanned.offsets.size === 0) return "another value when scanned";
  return undefined;
}

/** Checks that an error names a line of the document. */
function positionFault(error: unknown, text: string): string | undefined {
  if (!(error instanceof RuntsError)) return "no error of ours";
  const [, line = ""] = /^doc: (?:line (\d+)|starts with a byte order mark)/.exec(error.message) ?? [];
  return Number(line) <= text.split("\n").length && !error.message.includes("\n")
    ? undefined
    : `its error is ${JSON.stringify(error.message)}`;
}

describe("readJson and JSON.parse", () => {
  test(`${cases} documents of seed ${seed}, most of them invalid: the same verdict and the same value`, () => {
    const documents = new Documents(new Random(seed));
    let accepted = 0;
    for (let i = 0; i < cases; i++) {
      const text = i % 3 === 0 ? documents.document() : documents.mutated();
      const found = fault(text);
      if (found !== undefined) expect.fail(`${JSON.stringify(text)}: ${found}`);
      if ("value" in outcome(() => readJson(text, "doc"))) accepted++;
    }
    expect(accepted / cases).toBeGreaterThan(0.2);
    expect(accepted / cases).toBeLessThan(0.8);
  });

  test(`${cases / 4} wide integers of seed ${seed}: read exactly`, () => {
    const random = new Random(seed);
    for (let i = 0; i < cases / 4; i++) {
      const digits = Array.from({ length: 1 + random.below(25) }, () => random.below(10)).join("");
      const token = (random.chance(0.5) ? "-" : "") + (digits.replace(/^0+/, "") || "0");
      const indent = random.chance(0.5) ? 2 : undefined;
      const text = JSON.stringify({ a: [0, "mark"], b: "mark2" }, undefined, indent)
        .replace('"mark"', token)
        .replace('"mark2"', token);
      const exact = Number.isSafeInteger(Number(token)) ? Number(token) : BigInt(token);
      expect(readJson(text, "doc").value, text).toEqual({ a: [0, exact], b: exact });
    }
  });

  test(`${cases / 4} byte strings of seed ${seed}: invalid UTF-8 is refused, wherever it is`, () => {
    const random = new Random(seed);
    const documents = new Documents(random);
    let refused = 0;
    for (let i = 0; i < cases / 4; i++) {
      const bytes = Buffer.from(documents.document());
      const broken = Buffer.from(
        random.pick([[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0x80], [0xf5]]),
      );
      const at = random.below(bytes.length + 1);
      const text = Buffer.concat([bytes.subarray(0, at), broken, bytes.subarray(at)]);
      const isText = outcome(() => new TextDecoder("utf-8", { fatal: true }).decode(text));
      const read = outcome(() => readJson(text, "doc"));
      if ("error" in isText) {
        expect(read).toMatchObject({ error: { message: "doc: not valid UTF-8" } });
        refused++;
      } else if ("error" in read) expect(read.error).toBeInstanceOf(RuntsError);
    }
    expect(refused).toBeGreaterThan(cases / 8);
  });

  test.each([
    ["arrays", "[", "]"],
    ["objects", '{"a":', "}"],
    ["both", '[{"a":', "}]"],
  ])("nesting of %s: accepted up to the limit, refused beyond it, at any depth", (_, open, close) => {
    const levels = open.length - open.replace(/[[{]/g, "").length;
    const nested = (depth: number) => `${open.repeat(depth / levels)}0${close.repeat(depth / levels)}`;
    const deepest = MAXIMUM_DEPTH - (MAXIMUM_DEPTH % levels);
    expect(outcome(() => readJson(nested(deepest), "doc"))).toHaveProperty("value");
    for (const depth of [deepest + levels, 10 * MAXIMUM_DEPTH, 400_000]) {
      expect(outcome(() => readJson(nested(depth), "doc"))).toMatchObject({
        error: { message: expect.stringContaining("levels of nesting") },
      });
      expect(outcome(() => readJson(open.repeat(depth), "doc"))).toHaveProperty("error");
    }
  });
});
