import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { absolutePath, dirname } from "./paths.ts";

describe("absolutePath", () => {
  it.each([
    "/",
    "/a/b",
    "/a//b/",
    "/a/./b",
    "/a/../b",
    "/../..",
    ".",
    "..",
    "a",
    "./a/../../b",
    "../../../../../../..",
    "",
  ])("agrees with node:path on %j", (text) => {
    expect(absolutePath(text)).toBe(path.resolve(text));
  });
});

describe("dirname", () => {
  it.each(["/", "//", "/a", "/a/", "/a/b", "/a/b/", "/a//b", "//a", "a", "a/", "a/b", ".", "..", ""])(
    "agrees with node:path on %j",
    (text) => {
      // node:path keeps one of the two slashes.
      const expected = path.dirname(text).replace(/(?<=.)\/+$/, "");
      expect(dirname(text)).toBe(expected);
    },
  );
});
