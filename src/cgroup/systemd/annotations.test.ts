import { describe, expect, it } from "vitest";
import { annotatedProperties } from "./annotations.ts";

function parse(name: string, value: string): unknown {
  return annotatedProperties({ [`org.systemd.property.${name}`]: value, other: "'ignored'" }).map(
    ({ name, signature, value }) => [name, signature, value],
  );
}

describe("annotatedProperties", () => {
  it.each([
    ["TimeoutStopUSec", "uint64 5000000", "t", 5000000n],
    ["CollectMode", "'inactive-or-failed'", "s", "inactive-or-failed"],
    ["CollectMode", ' "it\'s" ', "s", "it's"],
    ["Description", String.raw`'tab\tquote\'\u00e4'`, "s", "tab\tquote'\u00e4"],
    ["SendSIGHUP", "true", "b", true],
    ["SendSIGHUP", "false", "b", false],
    ["After", "['a.service', \"b.service\"]", "as", ["a.service", "b.service"]],
    ["After", "[]", "as", []],
    ["OOMScoreAdjust", "-5", "i", -5n],
    ["OOMScoreAdjust", "int32 0x10", "i", 16n],
    ["Some", "byte 255", "y", 255n],
    ["Some", "int64 -9223372036854775808", "x", -9223372036854775808n],
  ])("%s = %s", (name, text, signature, value) => {
    expect(parse(name, text)).toEqual([[name, signature, value]]);
  });

  it("converts seconds to microseconds", () => {
    expect(parse("TimeoutStopSec", "uint64 5")).toEqual([["TimeoutStopUSec", "t", 5000000n]]);
    expect(parse("TimeoutStopSec", "5")).toEqual([["TimeoutStopUSec", "t", 5000000n]]);
    expect(parse("TimeoutStopUSec", "uint64 5")).toEqual([["TimeoutStopUSec", "t", 5n]]);
  });

  it.each([
    ["Aa", "true"],
    ["With.Dot", "true"],
    ["With1", "true"],
    ["Name", ""],
    ["Name", "word"],
    ["Name", "5 seconds"],
    ["Name", "uint64 -1"],
    ["Name", "int32 2147483648"],
    ["Name", "uint65 1"],
    ["Name", "constructor 1"],
    ["Name", "'open"],
    ["Name", "'two' 'strings'"],
    ["Name", "['a',]"],
    ["Name", "['a' 'b']"],
    ["Name", "[1, 2]"],
    ["Name", "{'a': 1}"],
    ["TimeoutStopSec", "-1"],
    ["TimeoutStopSec", "'5'"],
    ["TimeoutStopSec", "uint64 18446744073709551615"],
  ])("refuses %s = %s", (name, text) => {
    expect(() => parse(name, text)).toThrow(`/annotations/org.systemd.property.${name}: `);
  });
});
