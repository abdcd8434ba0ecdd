import { describe, expect, it } from "vitest";
import { internetAddress } from "./network-interface.ts";

describe("internetAddress", () => {
  it.each([
    [Uint8Array.of(192, 0, 2, 7), "192.0.2.7"],
    [Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7), "2001:db8::7"],
    [new Uint8Array(16), "::"],
    [Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7), "::ffff:192.0.2.7"],
    [Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4), "::1.2.3.4"],
    [Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), "::1"],
  ])("%o is %s", (bytes, text) => {
    expect(internetAddress(bytes)).toBe(text);
  });
});
