/**
 * The executables of others that packages are made of: Bun and koffi's native part, for the processor of the package. npm installs those of
 * this machine's processor; the others are downloaded into node_modules/.cache, and compared with the checksums of package-lock.json.
 */
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Missing, root, runIn } from "../machine.mjs";

const cache = join(root, "node_modules/.cache/packages/parts");
const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;

/** The folder of an npm package of the version in package-lock.json. */
function npmPackage(name) {
  const installed = join(root, "node_modules", name);
  if (existsSync(installed)) return installed;
  const { version, integrity } = lock[`node_modules/${name}`] ?? {};
  if (version === undefined) throw new Missing(`package-lock.json has no ${name}`);
  const kept = join(cache, `${name.replace("/", "+")}-${version}`);
  if (existsSync(kept)) return kept;
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, ".partial-"));
  try {
    process.stdout.write(`package: downloading ${name} ${version}\n`);
    const file = join(folder, runIn(folder, "npm", "pack", "--silent", `${name}@${version}`).trim());
    const sum = `sha512-${createHash("sha512").update(readFileSync(file)).digest("base64")}`;
    if (sum !== integrity)
      throw new Missing(`${name} ${version} is not the file of package-lock.json: ${sum}`);
    runIn(folder, "tar", "-xzf", file, "--no-same-owner");
    // The cache gets whole packages only, and in one step.
    renameSync(join(folder, "package"), kept);
    return kept;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Bun's executable and koffi.node for a processor, linked with the GNU C library. */
export function nativeParts(arch) {
  const base = join(npmPackage(`@oven/bun-linux-${arch === "arm64" ? "aarch64" : "x64"}`), "bin/bun");
  chmodSync(base, 0o755);
  return { base, koffi: join(npmPackage(`@koromix/koffi-linux-${arch}`), `linux_${arch}`, "koffi.node") };
}
