import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { IS_RUNTS } from "../harness/runtime.ts";
import { LISTING_MS, titlesOfTests } from "./titles.ts";

/** The last cell of each row that names a test. */
function namedTests(markdown: string): string[] {
  return [...markdown.matchAll(/^\|.*\| `([^`|]+: [^`|]+)` *\|$/gm)].map((match) => match[1] ?? "");
}

describe.skipIf(!IS_RUNTS)("decisions", () => {
  test("each row names a test", { timeout: LISTING_MS }, () => {
    const named = namedTests(readFileSync(join(import.meta.dirname, "../DECISIONS.md"), "utf8"));
    const titles = titlesOfTests();
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((name) => !titles.some((title) => title.startsWith(`${name} (`)))).toEqual([]);
  });
});
