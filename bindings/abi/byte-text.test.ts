import { expect, test } from "vitest";
import { byteText, fromByteText, nulTerminatedBytes, toByteText } from "./byte-text.ts";

const ALL = Uint8Array.from({ length: 256 }, (_, byte) => byte);

test("converting bytes to text and back keeps them", () => {
  const text = byteText(ALL);
  expect(Array.from(text, (character) => character.charCodeAt(0))).toEqual([...ALL]);
  expect([...nulTerminatedBytes(text)]).toEqual([...ALL, 0]);
});

test("text of a config and of messages is UTF-8", () => {
  expect(toByteText("jörg")).toBe("j\xc3\xb6rg");
  expect(fromByteText("j\xc3\xb6rg")).toBe("jörg");
  expect(fromByteText("j\xf6rg")).toBe("j\ufffdrg");
});
