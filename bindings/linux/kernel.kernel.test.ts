import { machine, release, version } from "node:os";
import { expect, test } from "vitest";
import { kernelBuild } from "./kernel.ts";

test("the build of the kernel is what node:os says of it", () => {
  expect(kernelBuild()).toBe([release(), version(), machine()].join(" "));
});
