import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..");

interface Package {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
}

const lock: { readonly packages: Record<string, Package> } = JSON.parse(
  readFileSync(join(root, "package-lock.json"), "utf8"),
);
const packages = Object.entries(lock.packages).filter(([path]) => path !== "");

/** The promises of SECURITY.md about the packages that runts is made of. */
describe("package-lock.json", () => {
  it("has an exact version and a checksum of each package", () => {
    expect(packages.length).toBeGreaterThan(10);
    for (const [path, { version, integrity, link }] of packages) {
      expect([path, version]).toEqual([path, expect.stringMatching(/^\d+\.\d+\.\d+/)]);
      expect([path, integrity]).toEqual([path, expect.stringMatching(/^sha512-/)]);
      expect([path, link]).toEqual([path, undefined]);
    }
  });

  it("has no package with an install script except two that work without it", () => {
    const scripted = packages.filter(([, { hasInstallScript }]) => hasInstallScript === true);
    // bun.mjs and build.mjs use the packages for the platform instead; machine.mjs installs with --ignore-scripts.
    expect(scripted.map(([path]) => path).sort()).toEqual(["node_modules/bun", "node_modules/koffi"]);
    expect(readFileSync(join(root, "scripts/machine.mjs"), "utf8")).toContain('"--ignore-scripts"');
  });

  it("gives an SBOM, in both formats, with the packages that are built into the product", () => {
    for (const format of ["cyclonedx", "spdx"]) {
      const args = ["sbom", `--sbom-format=${format}`, "--package-lock-only", "--omit=dev"];
      const text = execFileSync("npm", args, {
        cwd: root,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
      const { components, packages: listed } = JSON.parse(text);
      const names = (components ?? listed).map(({ name }: { name: string }) => name);
      expect(names).toEqual(expect.arrayContaining(["koffi", "yargs"]));
    }
  });
});
