import { type ConfigIssue, RuntsError } from "../../errors.ts";
import { lineCounter, MAXIMUM_DEPTH, scanJson } from "./scanner.ts";

/** Far above any real config, and small enough to be parsed within a second. */
export const MAXIMUM_BYTES = 16 * 1024 * 1024;

/** Marks a string that stands for a wide integer. A document that contains the mark itself is left to the scanner. */
const WIDE_MARK = "\\u0000";

export interface JsonDocument {
  /** Plain objects and arrays. Integers are numbers if those are exact, otherwise bigints. */
  readonly value: unknown;
  readonly text: string;
  /**
   * 1-based line of the value at a JSON pointer; undefined where there is none. A pointer may lead on into a string that holds JSON itself:
   * that has the line of the string.
   */
  lineAt(pointer: string): number | undefined;
}

/**
 * Reads JSON (RFC 8259) exactly, and refuses duplicate names: glossary.md of the runtime-spec requires both. `source` names the document in
 * errors. Throws for more than 16 MiB, invalid UTF-8 and more than 512 levels of nesting.
 *
 * JSON.parse does the work if its result, stringified again, shows that nothing was dropped or rounded. The exact scanner, which is
 * many times slower, reads the other documents and those with errors.
 */
export function readJson(input: string | Uint8Array, source: string): JsonDocument {
  const text = typeof input === "string" ? input : decodeUtf8(input, source);
  if (text.length > MAXIMUM_BYTES) throw tooLarge(source);
  const quick = parseQuickly(text);
  const value = quick === undefined ? parseExactly(text, source) : quick;
  return { value, text, lineAt: lineFinder(text, source) };
}

export function tooLarge(source: string): RuntsError {
  return new RuntsError(`${source}: larger than ${MAXIMUM_BYTES / 1024 / 1024} MiB`, { path: source });
}

function decodeUtf8(bytes: Uint8Array, source: string): string {
  if (bytes.length > MAXIMUM_BYTES) throw tooLarge(source);
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    throw new RuntsError(`${source}: starts with a byte order mark, which JSON does not allow`, {
      path: source,
    });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new RuntsError(`${source}: not valid UTF-8`, { path: source });
  }
}

/** The result of JSON.parse if it is provably exact, otherwise undefined, which is not a JSON value. */
function parseQuickly(text: string): unknown {
  if (mayBeTooDeep(text)) return undefined;
  const marked = markWideIntegers(text);
  if (marked === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(marked);
    const again = JSON.stringify(value, undefined, indentation(marked));
    const isSame = again === marked || (marked.length === again.length + 1 && marked === `${again}\n`);
    // `again` differs if there are duplicate names, or numbers in another form (1e3, 0.10).
    if (!isSame && skeleton(marked) !== skeleton(again)) return undefined;
    return marked !== text && mayHoldMark(value) ? restored(value) : value;
  } catch {
    return undefined;
  }
}

/**
 * Replaces integers of 16 digits and more, which may be beyond 2^53, by marked strings; undefined if the scanner has to read the document.
 * Digits within a string can't be mistaken for an integer: the inserted quote would end the string, and the rest would not be JSON.
 */
function markWideIntegers(text: string): string | undefined {
  const wide = /-?[0-9]{16,}/g;
  let found = wide.exec(text);
  if (found === null) return text;
  if (text.includes(WIDE_MARK)) return undefined;
  let marked = "";
  let end = 0;
  for (; found !== null; found = wide.exec(text)) {
    const token = found[0];
    if (found.index === 0 || wide.lastIndex === text.length) return undefined;
    const isWhole =
      /[:,[\s]/.test(text.charAt(found.index - 1)) && /[,\]}\s]/.test(text.charAt(wide.lastIndex));
    if (!isWhole) continue;
    // The scanner refuses leading zeros, and knows what to do with integers beyond 64 bits.
    if (/^-?0/.test(token) || token.length > 21) return undefined;
    marked += `${text.slice(end, found.index)}"${WIDE_MARK}${token}"`;
    end = wide.lastIndex;
  }
  return marked + text.slice(end);
}

/** Replaces marked strings by their integers, in place. */
function restoreWideIntegers(value: unknown): unknown {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (mayHoldMark(value[i])) value[i] = restored(value[i]);
  } else if (isObject(value)) {
    for (const name in value) if (mayHoldMark(value[name])) value[name] = restored(value[name]);
  }
  return value;
}

function mayHoldMark(value: unknown): boolean {
  return typeof value === "string" ? value.charCodeAt(0) === 0 : typeof value === "object";
}

function restored(value: unknown): unknown {
  if (typeof value !== "string") return restoreWideIntegers(value);
  const number = Number(value.slice(1));
  return Number.isSafeInteger(number) ? number : BigInt(value.slice(1));
}

/** Whether a value is a JSON object, not an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A valid document without blanks and without the contents of its strings. */
function skeleton(text: string): string {
  return text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"/g, '"').replace(/[ \t\n\r]+/g, "");
}

/** The indentation of the first member. */
function indentation(text: string): string {
  if (text[1] !== "\n") return "";
  let end = 2;
  while (text[end] === " " || text[end] === "\t") end++;
  return text.slice(2, end);
}

function mayBeTooDeep(text: string): boolean {
  let closers = 0;
  for (let at = text.indexOf("}"); at !== -1; at = text.indexOf("}", at + 1)) closers++;
  for (let at = text.indexOf("]"); at !== -1; at = text.indexOf("]", at + 1)) closers++;
  return closers > MAXIMUM_DEPTH;
}

function parseExactly(text: string, source: string): unknown {
  const scan = scanJson(text, source, false);
  if (!scan.hasDuplicates) return scan.value;
  const lineOf = lineCounter(text);
  const issues = scanJson(text, source, true).duplicates.map(
    ({ pointer, offset, firstOffset }): ConfigIssue => ({
      pointer,
      line: lineOf(offset),
      message: `duplicate name, first on line ${lineOf(firstOffset)}`,
    }),
  );
  throw invalid(source, issues);
}

/** An error with all issues of a file in one line. */
export function invalid(source: string, issues: readonly ConfigIssue[]): RuntsError {
  const lines = issues.map(({ pointer, line, message }) =>
    [...(line === undefined ? [] : [`line ${line}`]), ...(pointer === "" ? [] : [pointer]), message].join(
      ": ",
    ),
  );
  return new RuntsError(`${source}: ${lines.join("; ")}`, { operation: "validate", path: source, issues });
}

/** Finds lines of values. Scans the document again on first use, as only errors need them. */
function lineFinder(text: string, source: string): (pointer: string) => number | undefined {
  let offsets: ReadonlyMap<string, number> | undefined;
  let lineOf: ((offset: number) => number) | undefined;
  return (pointer) => {
    offsets ??= scanJson(text, source, true).offsets;
    lineOf ??= lineCounter(text);
    const offset = offsets.get(pointer) ?? offsetOfString(text, offsets, pointer);
    return offset === undefined ? undefined : lineOf(offset);
  };
}

/** Offset of the string that a pointer leads into. */
function offsetOfString(
  text: string,
  offsets: ReadonlyMap<string, number>,
  pointer: string,
): number | undefined {
  for (let end = pointer.lastIndexOf("/"); end > 0; end = pointer.lastIndexOf("/", end - 1)) {
    const offset = offsets.get(pointer.slice(0, end));
    if (offset !== undefined) return text[offset] === '"' ? offset : undefined;
  }
  return undefined;
}
