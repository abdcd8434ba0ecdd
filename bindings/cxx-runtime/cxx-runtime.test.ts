import { expect, test } from "vitest";
import { cxxRuntimeImages } from "./cxx-runtime-image.generated.ts";

/** gcc's functions for atomic operations and arithmetic, which it links statically: libgcc, "Library Interface". */
const LIBGCC = /^__(?:aarch64_|[a-z]*[sdt]i\d$)/;

test.each(["x64", "arm64"] as const)("koffi-cxx.so for %s: it calls no function of libgcc", (arch) => {
  const words = Buffer.from(cxxRuntimeImages[arch], "base64").toString("latin1").split("\0");
  expect(words).toContain("__cxa_guard_acquire");
  expect(words.filter((word) => LIBGCC.test(word))).toEqual([]);
});
