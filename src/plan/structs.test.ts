import { expect, it } from "vitest";
import { makedev, mountAttr, OPEN_HOW_SIZE, openHow } from "./structs.ts";

it("openHow lays out struct open_how", () => {
  const { bytes } = openHow(0x280000, 0o644, 0x14);
  expect(bytes.length).toBe(OPEN_HOW_SIZE);
  expect([...new BigUint64Array(bytes.buffer)]).toEqual([0x280000n, 0o644n, 0x14n]);
});

it("mountAttr lays out struct mount_attr", () => {
  const { bytes } = mountAttr({ set: 1, clear: 0x70, propagation: 1 << 18 });
  expect([...new BigUint64Array(bytes.buffer)]).toEqual([1n, 0x70n, 1n << 18n, 0n]);
});

// Values of glibc's makedev(3).
it.each([
  [1n, 3n, 0x103n],
  [5n, 0n, 0x500n],
  [10n, 229n, 0xae5n],
  [259n, 0x12345n, 0x12310345n],
  [0xfffn, 0xffn, 0xfffffn],
  [0x12345n, 0x54321n, 0x1200054334521n],
])("makedev(%i, %i)", (major, minor, number) => {
  expect(makedev(major, minor)).toBe(number);
});
