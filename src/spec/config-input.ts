import type { ConfigIssue } from "../errors.ts";
import { invalid } from "./json/reader.ts";
import { MAXIMUM_DEPTH, pointerToken } from "./json/scanner.ts";
import { toJson } from "./json/writer.ts";
import type { Config } from "./types.ts";

/** The same shape, mutable, and with numbers allowed for 64-bit integers. */
export type Input<T> = T extends bigint
  ? bigint | number
  : T extends readonly (infer Item)[]
    ? Input<Item>[]
    : T extends object
      ? { -readonly [Key in keyof T]: Input<T[Key]> }
      : T;

/** A config.json of the OCI runtime spec 1.3, as an object. */
export type ConfigInput = Input<Config>;

/**
 * Encodes an object as the JSON text that the command line would read from a file, so that both are validated by the same reader. `source`
 * names the object in errors. Throws for values that JSON does not have: JSON.stringify would write a uid of NaN as null, which means
 * an absent uid, and so root.
 */
export function inputText(input: unknown, source: string): Uint8Array {
  const issues: ConfigIssue[] = [];
  findUnwritable(input, "", issues);
  if (issues.length > 0) throw invalid(source, issues);
  return new TextEncoder().encode(toJson(input));
}

function findUnwritable(
  value: unknown,
  pointer: string,
  issues: ConfigIssue[],
  around: readonly object[] = [],
): void {
  const isNumber = typeof value === "number" && !Number.isFinite(value);
  if (isNumber || value === undefined || typeof value === "function" || typeof value === "symbol") {
    issues.push({ pointer, message: `is ${isNumber ? value : typeof value}, which JSON does not have` });
    return;
  }
  if (typeof value !== "object" || value === null) return;
  if (around.includes(value) || around.length > MAXIMUM_DEPTH) {
    issues.push({ pointer, message: "is nested too deeply, or contains itself" });
    return;
  }
  // Absent, as it is to JSON.stringify, is only a member; a list has no gaps.
  for (const [name, inner] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
    if (inner === undefined && !Array.isArray(value)) continue;
    findUnwritable(inner, `${pointer}/${pointerToken(String(name))}`, issues, [...around, value]);
  }
}
