import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { asObject } from "../harness/json.ts";

const ROOT = join(import.meta.dirname, "../..");
const VITEST = join(ROOT, "node_modules/vitest/vitest.mjs");

/** Titles of all tests, also of those in guests. */
export function titlesOfTests(): string[] {
  const { NODE_OPTIONS: _options, ...rest } = process.env;
  const env = Object.fromEntries(Object.entries(rest).filter(([name]) => !/^VITEST|^TEST$/.test(name)));
  env.SPEC_TESTS_LISTING = "1";
  const args = [VITEST, "list", "--project", "spec", "--project", "guests", "--json"];
  const text = execFileSync(process.execPath, args, {
    cwd: ROOT,
    env,
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  const listed: unknown = JSON.parse(text.slice(text.indexOf("[")));
  if (!Array.isArray(listed)) throw new Error("vitest list --json gives no list");
  return listed.map((entry) => String(asObject(entry).name).replace(/^.* in a guest \([^>]* > /, ""));
}
