import { expect, it } from "vitest";
import { nulTerminated, shownName } from "./c-string.ts";

it.each(["", "a", "/proc/self/fd/7", "käse", "€", "𝕏", "a\u{10ffff}b"])("ends %j with one NUL", (text) => {
  expect([...nulTerminated(text)]).toEqual([...new TextEncoder().encode(text), 0]);
});

it("takes bytes as they are", () => {
  expect([...nulTerminated(Uint8Array.of(0x61, 0xff))]).toEqual([0x61, 0xff, 0]);
});

it.each([
  ["/box/käse €", Buffer.from("/box/käse €")],
  ["/box/\\xff", Buffer.from([...Buffer.from("/box/"), 0xff])],
  ["k\\xc3\\xa4se\\x1b[2J", Buffer.from("käse\x1b[2J")],
  ["a\\x0ab", Buffer.from("a\nb")],
  ["a\\xe2\\x80\\xaeb", Buffer.from("a\u202eb")],
  ["\\xef\\xbb\\xbfa", Buffer.from("\ufeffa")],
  ["\\xed\\xa0\\x80", Buffer.from([0xed, 0xa0, 0x80])],
])("shows bytes as %s", (text, bytes) => {
  expect(shownName(bytes)).toBe(text);
});

it("leaves text alone", () => {
  expect(shownName("a\n\\xff")).toBe("a\n\\xff");
});
