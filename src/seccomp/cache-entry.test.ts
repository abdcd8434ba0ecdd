import { describe, expect, test } from "vitest";
import { type CacheEntry, decodeEntry, encodeEntry } from "./cache-entry.ts";

const key = Buffer.from("a key\0");
const entry: CacheEntry = {
  filter: Uint8Array.from({ length: 24 }, (_, i) => i),
  flags: 6,
  notifies: true,
  warnings: ["é"],
  library: "/lib/libseccomp.so.2",
  libraryIdentity: "1",
  linkerIdentity: "",
};
const file = Buffer.from(encodeEntry(key, entry));

describe("a cached filter", () => {
  test("is read as it was written", () => {
    const { filter, ...notes } = entry;
    const { filter: read, ...others } = decodeEntry(file, key) ?? entry;
    expect(others).toEqual(notes);
    expect([...read]).toEqual([...filter]);
  });

  test("is not read if any bit differs", () => {
    for (let bit = 0; bit < 8 * file.length; bit++) {
      const damaged = Buffer.from(file);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(decodeEntry(damaged, key), `bit ${bit}`).toBeUndefined();
    }
  });

  test("is not read if it is shorter or longer", () => {
    for (let length = 0; length < file.length; length++)
      expect(decodeEntry(file.subarray(0, length), key), `${length} bytes`).toBeUndefined();
    for (const more of [1, 8, 64])
      expect(decodeEntry(Buffer.concat([file, Buffer.alloc(more)]), key)).toBeUndefined();
  });

  test("is not read for another key, even of the same length", () => {
    for (const other of ["", "b key\0", "a key", "a key\0\0", "a key\u0001"])
      expect(decodeEntry(file, Buffer.from(other)), JSON.stringify(other)).toBeUndefined();
  });

  test.each([
    ["no instructions", 0],
    ["half an instruction", 12],
    ["more instructions than the kernel accepts", 4097 * 8],
  ])("is not read with a filter of %s", (_, length) => {
    const written = encodeEntry(key, { ...entry, filter: new Uint8Array(length) });
    expect(decodeEntry(Buffer.from(written), key)).toBeUndefined();
  });
});
