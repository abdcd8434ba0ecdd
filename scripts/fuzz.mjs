/**
 * `npm run fuzz -- [--count N] [--seed N] [--keep FOLDER]`: fuzzes config.json with N mutants; `npm test` runs a few of them. Mutants that
 * reveal a fault are written to the folder. A hundred mutants take some ten seconds.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { root, unifiedCgroup, vitest } from "./machine.mjs";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "10000" },
    seed: { type: "string", default: "1" },
    keep: { type: "string" },
  },
});
for (const name of ["count", "seed"]) {
  if (!/^\d+$/.test(values[name])) throw new Error(`--${name} ${values[name]}: must be a number`);
}
const env = { ...process.env, FUZZ_COUNT: values.count, FUZZ_SEED: values.seed };
if (values.keep !== undefined) {
  env.FUZZ_KEEP = resolve(values.keep);
  mkdirSync(env.FUZZ_KEEP, { recursive: true });
}
const args = [process.execPath, vitest, "run", "--project", "spec", "spec-tests/fuzz"];
const { status } = spawnSync(unifiedCgroup, args, { cwd: root, stdio: "inherit", env });
process.exitCode = status ?? 1;
