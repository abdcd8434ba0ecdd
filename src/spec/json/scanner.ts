import { RuntsError } from "../../errors.ts";

/** Deeper nesting is refused, so that no document can exhaust the stack. */
export const MAXIMUM_DEPTH = 512;

/** More digits than a 64-bit number has. Longer integers are read inexactly, as they are out of range anyway. */
const MAXIMUM_EXACT_DIGITS = 40;

const BLANK = /[ \t\n\r]*/y;
// Unrolled, so that the matcher backtracks per escape sequence instead of per character.
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them in strings (RFC 8259, 7)
const STRING = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

export interface Duplicate {
  readonly pointer: string;
  readonly offset: number;
  readonly firstOffset: number;
}

export interface Scan {
  readonly value: unknown;
  /** Offset of each value by JSON pointer; empty without `withPositions`. */
  readonly offsets: ReadonlyMap<string, number>;
  readonly hasDuplicates: boolean;
  /** Names that occur more than once in an object; empty without `withPositions`. */
  readonly duplicates: readonly Duplicate[];
}

/** Escapes a name for a JSON pointer: RFC 6901, 3. */
export function pointerToken(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** Returns a function from offsets to 1-based lines. It does not read the text again, as every line may have an error. */
export function lineCounter(text: string): (offset: number) => number {
  const ends: number[] = [];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) ends.push(at);
  return (offset) => {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ends[middle] ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    return low + 1;
  };
}

/**
 * Reads JSON (RFC 8259) exactly: an integer that a number can't represent becomes a bigint. Throws if the document is not JSON. If a name
 * occurs twice in an object, the later member wins and `hasDuplicates` is set.
 */
export function scanJson(text: string, source: string, withPositions: boolean): Scan {
  const scanner = new Scanner(text, source, withPositions);
  const value = scanner.document();
  return {
    value,
    offsets: scanner.offsets,
    hasDuplicates: scanner.hasDuplicates,
    duplicates: scanner.duplicates,
  };
}

class Scanner {
  readonly offsets = new Map<string, number>();
  readonly duplicates: Duplicate[] = [];
  hasDuplicates = false;
  readonly #text: string;
  readonly #source: string;
  readonly #withPositions: boolean;
  #at = 0;
  #depth = 0;

  constructor(text: string, source: string, withPositions: boolean) {
    this.#text = text;
    this.#source = source;
    this.#withPositions = withPositions;
  }

  document(): unknown {
    const value = this.#value("");
    this.#skipBlank();
    if (this.#at < this.#text.length) this.#fail("the end of the file");
    return value;
  }

  #value(pointer: string): unknown {
    this.#skipBlank();
    if (this.#withPositions) this.offsets.set(pointer, this.#at);
    switch (this.#text[this.#at]) {
      case "{":
        return this.#nested(() => this.#object(pointer));
      case "[":
        return this.#nested(() => this.#array(pointer));
      case '"':
        return this.#string("a value");
      case "t":
        return this.#word("true", true);
      case "f":
        return this.#word("false", false);
      case "n":
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  #nested(read: () => unknown): unknown {
    if (this.#depth === MAXIMUM_DEPTH) this.#fail(`at most ${MAXIMUM_DEPTH} levels of nesting`);
    this.#depth++;
    this.#at++;
    const value = read();
    this.#depth--;
    return value;
  }

  #object(pointer: string): unknown {
    const members: Record<string, unknown> = {};
    if (this.#accept("}")) return members;
    do {
      this.#skipBlank();
      const nameOffset = this.#at;
      const name = this.#string('a name in double quotes or "}"');
      if (!this.#accept(":")) this.#fail('":"');
      const inner = this.#withPositions ? `${pointer}/${pointerToken(name)}` : "";
      if (Object.hasOwn(members, name)) this.#duplicate(inner, nameOffset);
      setMember(members, name, this.#value(inner));
    } while (this.#accept(","));
    if (!this.#accept("}")) this.#fail('"," or "}"');
    return members;
  }

  #array(pointer: string): unknown {
    const items: unknown[] = [];
    if (this.#accept("]")) return items;
    do items.push(this.#value(this.#withPositions ? `${pointer}/${items.length}` : ""));
    while (this.#accept(","));
    if (!this.#accept("]")) this.#fail('"," or "]"');
    return items;
  }

  #duplicate(pointer: string, offset: number): void {
    this.hasDuplicates = true;
    const firstOffset = this.offsets.get(pointer);
    if (firstOffset !== undefined) this.duplicates.push({ pointer, offset, firstOffset });
  }

  #string(expected: string): string {
    const start = this.#at;
    STRING.lastIndex = start;
    if (!STRING.test(this.#text)) this.#failString(expected);
    this.#at = STRING.lastIndex;
    const raw = this.#text.slice(start + 1, this.#at - 1);
    return raw.includes("\\") ? decoded(this.#text.slice(start, this.#at)) : raw;
  }

  #number(): number | bigint {
    NUMBER.lastIndex = this.#at;
    if (!NUMBER.test(this.#text)) this.#fail("a value");
    const token = this.#text.slice(this.#at, NUMBER.lastIndex);
    this.#at = NUMBER.lastIndex;
    const value = Number(token);
    const isExact = !Number.isInteger(value) || Number.isSafeInteger(value);
    if (isExact || token.length > MAXIMUM_EXACT_DIGITS || /[.eE]/.test(token)) return value;
    return BigInt(token);
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#fail("a value");
    this.#at += word.length;
    return value;
  }

  #accept(character: string): boolean {
    this.#skipBlank();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #skipBlank(): void {
    if (this.#text.charCodeAt(this.#at) > 0x20) return;
    BLANK.lastIndex = this.#at;
    BLANK.test(this.#text);
    this.#at = BLANK.lastIndex;
  }

  #failString(expected: string): never {
    if (this.#text[this.#at] !== '"') this.#fail(expected);
    const unclosed = new RegExp(STRING.source.slice(0, -1), "y");
    unclosed.lastIndex = this.#at;
    unclosed.test(this.#text);
    this.#at = unclosed.lastIndex;
    this.#fail("a character or an escape that a string may hold");
  }

  #fail(expected: string): never {
    const line = lineCounter(this.#text)(this.#at);
    const column = this.#at - this.#text.lastIndexOf("\n", this.#at - 1);
    const point = this.#text.codePointAt(this.#at);
    const found = point === undefined ? "the end of the file" : JSON.stringify(String.fromCodePoint(point));
    const problem = `expected ${expected}, found ${found}`;
    throw new RuntsError(`${this.#source}: line ${line}, column ${column}: not valid JSON: ${problem}`, {
      operation: "parse",
      path: this.#source,
      issues: [{ pointer: "", line, message: `not valid JSON at column ${column}: ${problem}` }],
    });
  }
}

function setMember(members: Record<string, unknown>, name: string, value: unknown): void {
  // A plain assignment would set the prototype instead.
  if (name === "__proto__") {
    Object.defineProperty(members, name, { value, enumerable: true, configurable: true, writable: true });
  } else {
    members[name] = value;
  }
}

function decoded(literal: string): string {
  const value: unknown = JSON.parse(literal);
  return typeof value === "string" ? value : "";
}
