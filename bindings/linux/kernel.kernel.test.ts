import { machine, release, version } from "node:os";
import { expect, test } from "vitest";
import { kernelBuild } from "./kernel.ts";

test("the build of the kernel agrees with node:os", () => {
  expect(kernelBuild()).toBe([release(), version(), machine()].join(" "));
});
