import { expect, it } from "vitest";
import { nulTerminated } from "./c-string.ts";

it.each(["", "a", "/proc/self/fd/7", "käse", "€", "𝕏", "a\u{10ffff}b"])("ends %j with one NUL", (text) => {
  expect([...nulTerminated(text)]).toEqual([...new TextEncoder().encode(text), 0]);
});
