import { expect, test } from "vitest";
import { hash64 } from "./hash.ts";

/** Test vectors of draft-eastlake-fnv. The tests of the built program cover Bun's hash. */
test.each([
  ["", 0xcbf29ce484222325n],
  ["a", 0xaf63dc4c8601ec8cn],
  ["foobar", 0x85944171f73967e8n],
])("the hash of %j under Node is FNV-1a", (text, hash) => {
  expect(hash64(Buffer.from(text))).toBe(hash);
});
