import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { asObject } from "../harness/json.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { LISTING_MS, list } from "./titles.ts";

/** The notes that harness/peers.ts writes while the tests of all projects are listed. */
function notes(): Record<string, unknown>[] {
  const directory = mkdtempSync(join(tmpdir(), "deviations-"));
  try {
    const file = join(directory, "notes");
    for (const project of ["spec", "guests", "engines"]) list(project, { SPEC_TESTS_DEVIATIONS: file });
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    return lines.map((line) => asObject(JSON.parse(line)));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe.skipIf(!IS_RUNTS)("deviations of the peers", () => {
  // A deviation in a test's options needs no check. One of a case does, since the loop may no longer have that case.
  test("each case with a deviation has a test", { timeout: LISTING_MS }, () => {
    const noted = notes();
    expect(noted.filter(({ crun, runc }) => [crun, runc].flat().some(Boolean)).length).toBeGreaterThan(1000);
    const used = new Set(noted.map(({ table, used }) => `${table}: ${used}`));
    const cases = noted.flatMap(({ table, cases }) =>
      [cases ?? []].flat().map((name) => `${table}: ${name}`),
    );
    expect(cases.length).toBeGreaterThan(300);
    expect(cases.filter((name) => !used.has(name))).toEqual([]);
  });
});
