import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

/** Checks that the tests exist that the documents name. */

const root = join(import.meta.dirname, "..");
const folder = "spec-tests/security";
const tables = readFileSync(join(root, folder, "README.md"), "utf8");

/** `[name](file) "title"` */
const references = [...tables.matchAll(/\]\(([^)]+\.test\.ts)\) "([^"]+)"/g)].map(
  ([, file = "", title = ""]) => ({
    file,
    title: title.replaceAll("\\|", "|"),
  }),
);

describe("spec-tests/security/README.md", () => {
  test.each(references)("$file has a test “$title”", ({ file, title }) => {
    // toContain would print the whole file.
    expect(readFileSync(join(root, folder, file), "utf8").includes(title)).toBe(true);
  });

  test("each promise names a test", () => {
    const rows = tables.split("\n").filter((line) => line.startsWith("| ") && !/^\| (promise|-)/.test(line));
    expect(rows.length).toBeGreaterThan(50);
    expect(rows.filter((row) => !/\.test\.ts\) "/.test(row))).toEqual([]);
    expect(references.length).toBeGreaterThan(rows.length);
  });
});

describe("docs/testing.md, the table of CVEs", () => {
  const text = readFileSync(join(root, "docs/testing.md"), "utf8");
  const rows = text
    .split("\n")
    .filter((line) => line.startsWith("| ") && line.includes("](../spec-tests/security/"))
    .map((line) => ({
      files: [...line.matchAll(/\]\(\.\.\/(spec-tests\/security\/[^)]+)\)/g)].map(([, file = ""]) => file),
      cves: [...line.matchAll(/\b20\d\d-\d{4,5}\b/g)].map(([cve]) => cve),
    }));

  test.each(rows.flatMap(({ files, cves }) => cves.map((cve) => ({ cve, files }))))(
    "CVE-$cve is the clause of a test in the files of its row",
    ({ cve, files }) => {
      expect(files.map((file) => readFileSync(join(root, file), "utf8")).join()).toContain(`CVE-${cve}`);
    },
  );

  const seconds = text.match(/ with 20\d\d-\d+/g)?.length ?? 0;
  const count = String(new Set(rows.flatMap((row) => row.cves)).size - seconds);

  test.each(["docs/testing.md", "README.md"])(
    "%s gives the number of CVEs, a fix that was needed twice counted once",
    (file) => {
      const [, tested, all] =
        /CVEs of runc and crun (\d+) of (\d+)/.exec(readFileSync(join(root, file), "utf8")) ?? [];
      expect([tested, all]).toEqual([count, count]);
    },
  );
});
