import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { defaultConfig } from "../../spec/default-config.ts";

const hasRunc = (() => {
  try {
    execFileSync("runc", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runts-spec-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/**
 * Parses a config and removes what may differ: the spec's version and the host name, ambient capabilities (which older runc has), and
 * the cgroup namespace (which runc asks for on hosts with cgroup v2 only).
 */
function comparable(config: string) {
  const { ociVersion, hostname, ...rest } = JSON.parse(config);
  delete rest.process.capabilities.ambient;
  const types = rest.linux.namespaces.map(({ type }: { type: string }) => type);
  rest.linux.namespaces = types.filter((type: string) => type !== "cgroup").sort();
  rest.linux.maskedPaths.sort();
  return rest;
}

describe.skipIf(!hasRunc)("the default config (runc is installed)", () => {
  it.each([
    { name: "for root", argv: [], options: {} },
    {
      name: "--rootless",
      argv: ["--rootless"],
      options: { rootless: { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 } },
    },
  ])("equals that of runc: $name", ({ argv, options }) => {
    execFileSync("runc", ["spec", "--bundle", directory, ...argv]);
    const theirs = comparable(readFileSync(join(directory, "config.json"), "utf8"));
    expect(comparable(JSON.stringify(defaultConfig(options)))).toEqual(theirs);
  });
});
