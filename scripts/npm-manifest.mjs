/**
 * What `npm pack` puts into the package as package.json: `node scripts/npm-manifest.mjs narrow` before, and `restore` after it.
 *
 * The package has a program for the processor and the C library of the machine that packs it, so npm has to refuse it elsewhere. What it
 * needs of other packages is bundled, so it installs without a registry.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { libcName, root } from "./machine.mjs";

const manifest = join(root, "package.json");
/** The repository's own manifest, meanwhile. */
const kept = join(root, "node_modules/.cache/package.json");

function restore() {
  if (!existsSync(kept)) return;
  // After an interrupted packing, git may have restored or changed the manifest meanwhile. The narrow one has no scripts.
  const { scripts } = JSON.parse(readFileSync(manifest, "utf8"));
  if (scripts === undefined) renameSync(kept, manifest);
  else rmSync(kept);
}

function narrow() {
  // A packing that was interrupted may have left the narrow one.
  restore();
  const {
    private: _,
    scripts,
    dependencies,
    devDependencies,
    ...rest
  } = JSON.parse(readFileSync(manifest, "utf8"));
  mkdirSync(dirname(kept), { recursive: true });
  renameSync(manifest, kept);
  const narrowed = { ...rest, cpu: [process.arch], libc: [libcName()] };
  writeFileSync(manifest, `${JSON.stringify(narrowed, undefined, 2)}\n`);
}

const action = { narrow, restore }[process.argv[2]];
if (action === undefined) throw new Error("usage: npm-manifest.mjs narrow|restore");
action();
