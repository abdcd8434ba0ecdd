import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { version, versionText } from "./version.ts";

it("is the version of package.json", () => {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  expect(manifest).toMatchObject({ version });
});

it("can be read by dockerd: the word version stands only in the first line", () => {
  const lines = versionText().trimEnd().split("\n");
  expect(lines[0]).toBe(`runts version ${version}`);
  expect(lines.filter((line) => line.includes("version"))).toHaveLength(1);
  expect(lines).toContain("spec: 1.3.0");
});
