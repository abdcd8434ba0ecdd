import { resolve } from "node:path";
import { expect, it } from "vitest";
import { absolutePath } from "./absolute-path.ts";

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
])("agrees with node:path on %j", (path) => {
  expect(absolutePath(path)).toBe(resolve(path));
});
