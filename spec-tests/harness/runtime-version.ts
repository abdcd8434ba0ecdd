import { execFileSync } from "node:child_process";

const known = new Map<string, string>();

/** The version in the first line of a runtime's `--version`, such as 1.3.6 in `runc version 1.3.6+ds1`. */
export function versionOf(path: string): string {
  const told = known.get(path) ?? askVersion(path);
  known.set(path, told);
  return told;
}

function askVersion(path: string): string {
  const output = execFileSync(path, ["--version"], { encoding: "utf8" });
  const version = /^\S+ version (\d+(?:\.\d+)*)/.exec(output)?.[1];
  if (version === undefined) throw new Error(`${path} --version tells no version: ${output}`);
  return version;
}

/** Negative if `left` is older. A missing number is zero: 1.2 is 1.2.0. */
export function compareVersions(left: string, right: string): number {
  const [some, others] = [left, right].map((version) => version.split(".").map(Number));
  const length = Math.max(some?.length ?? 0, others?.length ?? 0);
  const differences = Array.from({ length }, (_, index) => (some?.[index] ?? 0) - (others?.[index] ?? 0));
  return differences.find((difference) => difference !== 0) ?? 0;
}
