import { expect, it } from "vitest";
import { toIndentedJson, toJson } from "./writer.ts";

it("writes bigints in full, and other values as JSON.stringify does", () => {
  expect(toJson({ type: "stats", data: { max: 18446744073709551615n, least: -9223372036854775808n } })).toBe(
    '{"type":"stats","data":{"max":18446744073709551615,"least":-9223372036854775808}}',
  );
  const value = { "a\n": [1.5, null, true, 'é"', {}, []], none: undefined };
  expect(toJson(value)).toBe(JSON.stringify(value));
});

it("indents as JSON.stringify does", () => {
  const value = { "a\n": [1.5, null, ["x"], {}, []], b: { c: "é", none: undefined } };
  expect(toIndentedJson(value)).toBe(JSON.stringify(value, undefined, 2));
  expect(toIndentedJson([2n ** 64n - 1n])).toBe("[\n  18446744073709551615\n]");
});
