import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { asObject } from "../harness/json.ts";

const ROOT = join(import.meta.dirname, "../..");
const VITEST = join(ROOT, "node_modules/vitest/vitest.mjs");

/** Bounds the listing of all three projects: each takes seconds, on a busy machine twenty. */
export const LISTING_MS = 600_000;

/** The titles by project, listed once for all files of this process, since listing takes seconds. */
const known = new Map<string, readonly string[]>();

/** Titles of all spec tests and of those in guests. */
export function titlesOfTests(): string[] {
  return [...titlesOf("spec"), ...titlesOf("guests")];
}

/** Titles of the tests of one project of vitest.config.ts. */
function titlesOf(project: string): readonly string[] {
  const titles = known.get(project) ?? list(project);
  known.set(project, titles);
  return titles;
}

/** Lists the titles of a project of vitest.config.ts, with further variables in the environment. */
export function list(project: string, further: Readonly<Record<string, string>> = {}): string[] {
  const { NODE_OPTIONS: _options, ...rest } = process.env;
  const env = Object.fromEntries(Object.entries(rest).filter(([name]) => !/^VITEST|^TEST$/.test(name)));
  Object.assign(env, { SPEC_TESTS_LISTING: "1" }, further);
  const text = execFileSync(process.execPath, [VITEST, "list", "--project", project, "--json"], {
    cwd: ROOT,
    env,
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  const listed: unknown = JSON.parse(text.slice(text.indexOf("[")));
  if (!Array.isArray(listed)) throw new Error("vitest list --json gives no list");
  return listed.map((entry) => String(asObject(entry).name).replace(/^.* in a guest \([^>]* > /, ""));
}
