import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { draw } from "./draw-architecture.mjs";

it("src/architecture.svg is what scripts/draw-architecture.mjs draws of these sources", () => {
  const drawn = readFileSync(join(import.meta.dirname, "../src/architecture.svg"), "utf8");
  expect(drawn === draw(), 'run "node scripts/draw-architecture.mjs"').toBe(true);
});
