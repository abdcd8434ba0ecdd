import { describe, expect, it } from "vitest";
import { Decoded, encodeMessage } from "./protobuf.ts";

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));

describe("encodeMessage", () => {
  it.each([
    // Examples of the format's documentation.
    ["a two-byte number", { 1: 150 }, "08 96 01"],
    ["a string", { 2: "testing" }, "12 07 74 65 73 74 69 6e 67"],
    ["a nested message", { 3: { 1: 150 } }, "1a 03 08 96 01"],
    ["a negative number, sign-extended to 64 bits", { 1: -1 }, "08 ff ff ff ff ff ff ff ff ff 01"],
    ["booleans, including false", { 3: true, 4: false }, "18 01 20 00"],
    ["a two-byte field number", { 63: "x" }, "fa 03 01 78"],
    ["each item of a list", { 37: ["a", "b"] }, "aa 02 01 61 aa 02 01 62"],
    ["nothing for an absent field or an empty list", { 1: undefined, 2: [] }, ""],
    ["an empty string", { 1: "" }, "0a 00"],
    ["a non-ASCII string as UTF-8", { 1: "ä" }, "0a 02 c3 a4"],
    ["the highest 32-bit number", { 1: 0xffffffff }, "08 ff ff ff ff 0f"],
  ])("writes %s", (_title, message, hex) => {
    expect(encodeMessage(message)).toEqual(bytes(hex));
  });
});

describe("Decoded", () => {
  it("reads what was written", () => {
    const decoded = new Decoded(encodeMessage({ 1: -7, 2: "text", 3: { 1: 40101 }, 4: true, 100: 1 }));
    expect(decoded.int(1)).toBe(-7);
    expect(decoded.string(2)).toBe("text");
    expect(decoded.message(3)?.int(1)).toBe(40101);
    expect(decoded.bool(4)).toBe(true);
    expect(decoded.int(100)).toBe(1);
  });

  it("is undefined for an absent field", () => {
    const decoded = new Decoded(new Uint8Array());
    expect([decoded.int(1), decoded.bool(1), decoded.string(1), decoded.message(1)]).toEqual(
      Array(4).fill(undefined),
    );
  });

  it("has the last value of a repeated field, and skips other wire types", () => {
    const decoded = new Decoded(bytes("08 01 11 0000000000000000 08 02 1d 00000000"));
    expect(decoded.int(1)).toBe(2);
  });

  it.each([
    ["a truncated number", "08 96"],
    ["a truncated string", "12 07 74"],
    ["a too long number", `08 ${"ff".repeat(11)}`],
    ["an unknown wire type", "0b"],
  ])("refuses %s", (_title, hex) => {
    expect(() => new Decoded(bytes(hex))).toThrow("malformed protocol buffer");
  });
});
