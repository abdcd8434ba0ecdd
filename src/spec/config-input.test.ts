import { describe, expect, it } from "vitest";
import { RuntsError } from "../errors.ts";
import { parseConfig } from "./config.ts";
import { inputText } from "./config-input.ts";
import { defaultConfig } from "./default-config.ts";

describe("inputText", () => {
  it("keeps 64-bit integers exact, whether numbers or bigints", () => {
    const config = defaultConfig();
    config.linux.resources = { memory: { limit: 2 ** 40, swap: 9_223_372_036_854_775_807n } };
    expect(parseConfig(inputText(config, "config"), "config").linux?.resources?.memory).toEqual({
      limit: 2n ** 40n,
      swap: 9_223_372_036_854_775_807n,
    });
  });

  it("refuses values that JSON does not have, each with its pointer", () => {
    const gap: unknown[] = ["a"];
    gap[2] = "b";
    const input = { uid: Number.NaN, list: gap, "a/b": [1, { f: () => 1, none: undefined }], s: Symbol() };
    expect(issuesOf(input)).toEqual([
      ["/uid", "is NaN, which JSON does not have"],
      ["/list/1", "is undefined, which JSON does not have"],
      ["/a~1b/1/f", "is function, which JSON does not have"],
      ["/s", "is symbol, which JSON does not have"],
    ]);
    expect(issuesOf(undefined)).toEqual([["", "is undefined, which JSON does not have"]]);
    expect(issuesOf({ limit: Number.POSITIVE_INFINITY })).toEqual([
      ["/limit", "is Infinity, which JSON does not have"],
    ]);
  });

  it("refuses an object that contains itself", () => {
    const input: Record<string, unknown> = {};
    input.self = [input, input];
    const message = "is nested too deeply, or contains itself";
    expect(issuesOf(input)).toEqual([
      ["/self/0", message],
      ["/self/1", message],
    ]);
  });
});

function issuesOf(input: unknown): readonly (readonly [string, string])[] {
  try {
    inputText(input, "config");
    return [];
  } catch (error) {
    if (!(error instanceof RuntsError)) throw error;
    return error.issues.map(({ pointer, message }) => [pointer, message]);
  }
}
