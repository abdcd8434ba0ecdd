import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { draw, steps } from "./draw-lifecycle.mjs";

const root = join(import.meta.dirname, "..");

it("docs/lifecycle.svg is what scripts/draw-lifecycle.mjs draws", () => {
  const drawn = readFileSync(join(root, "docs/lifecycle.svg"), "utf8");
  expect(drawn === draw(), 'run "node scripts/draw-lifecycle.mjs"').toBe(true);
});

it("each file that the picture names exists", () => {
  const named = steps.flatMap(({ code }) => code?.split(", ") ?? []);
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});
