/**
 * Writes src/report/page/page.generated.ts from page.css and page.js: the program has both as text, with their hashes for the page's
 * Content-Security-Policy. A test compares them.
 */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./machine.mjs";

const folder = join(root, "src/report/page");
const generated = join(folder, "page.generated.ts");

function constantOf(name, text) {
  if (/<\/|<!--/.test(text)) throw new Error(`${name}: would end its element in the page`);
  const hash = createHash("sha256").update(text).digest("base64");
  return [
    `export const ${name} = {`,
    `  text: ${JSON.stringify(text)},`,
    `  hash: "sha256-${hash}",`,
    "} as const;",
    "",
  ].join("\n");
}

/** The text of the generated file. */
export function generateReportPage() {
  const [style, script] = ["page.css", "page.js"].map((name) => readFileSync(join(folder, name), "utf8"));
  return [
    "// Written by scripts/generate-report-page.mjs from page.css and page.js.",
    "",
    constantOf("style", style),
    constantOf("script", script),
  ].join("\n");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href)
  writeFileSync(generated, generateReportPage());
