import { expect, it } from "vitest";
import { checkId } from "./id.ts";

it.each(["a", "0", "box-1_2.3+4", "...", "-x", "x".repeat(255)])("%j may be an id", (id) => {
  expect(() => checkId(id)).not.toThrow();
});

it.each([".", "..", "a/b", "/", "a b", "a,b", "a\n", "ä", "a\0", "x".repeat(256)])("%j may not", (id) => {
  expect(() => checkId(id)).toThrow(`invalid container ID format: ${JSON.stringify(id)}`);
});

it("an empty id has a message of its own", () => {
  expect(() => checkId("")).toThrow("container id cannot be empty");
});
