import { describe, expect, it } from "vitest";
import type { BusValue } from "../../bindings/linux/sd-bus.ts";
import { annotatedProperties } from "../cgroup/systemd/annotations.ts";
import { busText, busTexts } from "./bus-values.ts";

describe("D-Bus values as text", () => {
  it.each<[string, string, BusValue]>([
    ['"with \\"quotes\\""', "s", 'with "quotes"'],
    ["true", "b", true],
    ["uint64 18446744073709551615", "t", 18446744073709551615n],
    ["-5", "i", -5n],
    ["[byte 0x03, 0x80]", "ay", [3n, 128n]],
    ["[uint32 7, 8]", "au", [7n, 8n]],
    ["[]", "as", []],
    ['["one two", "b"]', "as", ["one two", "b"]],
    ['[("char-*", "m")]', "a(ss)", [["char-*", "m"]]],
  ])("%s, of type %s", (expected, type, value) => {
    expect(busText(type, value)).toBe(expected);
  });

  it("are converted one by one, by the signature", () => {
    expect(busTexts("ssa(sv)b", ["x.scope", "fail", [], false])).toEqual([
      '"x.scope"',
      '"fail"',
      "[]",
      "false",
    ]);
  });

  it.each(["true", "uint64 5", "-7", '"text"', '["a", "b"]', "int16 -3"])(
    "%s of an annotation: is told as it was written",
    (text) => {
      const [property] = annotatedProperties({ "org.systemd.property.Name": text });
      expect(busText(property?.signature ?? "", property?.value ?? "")).toBe(text);
    },
  );
});
