import { describe, expect, test } from "vitest";
import { PEERS } from "../harness/peers.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { LISTING_MS, titlesOf, titlesOfTests } from "./titles.ts";

/** A clause follows a title, but for those of engines. */
function isTitle(pattern: string, name: string): boolean {
  return pattern.endsWith("…")
    ? name.startsWith(pattern.slice(0, -1))
    : `${name} (`.startsWith(`${pattern} (`);
}

describe.skipIf(!IS_RUNTS)("deviations of the peers", () => {
  test("each is about a test that there is", { timeout: LISTING_MS }, () => {
    const names = [...titlesOfTests(), ...titlesOf("engines")];
    const patterns = Object.values(PEERS).flatMap((entries) => entries.flatMap(({ titles }) => titles));
    expect(patterns.length).toBeGreaterThan(300);
    expect(patterns.filter((pattern) => !names.some((name) => isTitle(pattern, name)))).toEqual([]);
  });
});
