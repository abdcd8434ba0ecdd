/**
 * `npm run package`: makes the packages in packages/: .deb, .rpm and .tar.gz for both processors, bills of materials, and SHA256SUMS. Then
 * lintian and rpmlint check them. docs/packages.md says what is in them.
 *
 *   --arch x64            for this processor only; may be given twice
 *   --check-reproducible  makes them again, elsewhere, and fails if they are not equal
 *   --check-npm           checks only that what `npm pack` makes can be installed and used elsewhere
 *   --no-lint             without lintian and rpmlint
 *   --fast                hardly compressed, for tests
 */
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { requireBun } from "./bun.mjs";
import { ensureModules, ensurePackages, Missing, root, runIn, runScript } from "./machine.mjs";

const tools = [
  { name: "dpkg", program: "dpkg-deb", needed: true, why: "makes the .deb" },
  { name: "rpm", program: "rpmbuild", needed: true, why: "makes the .rpm" },
];
const linters = [
  { name: "lintian", program: "lintian", needed: true, why: "checks the .deb" },
  { name: "rpmlint", program: "rpmlint", needed: true, why: "checks the .rpm" },
];

const output = join(root, "packages");
/** The project has no mail address: SECURITY.md has the way to report something. */
const maintainer = "runts maintainers <runts@localhost>";

/** The time of the commit, which all files get: https://reproducible-builds.org/specs/source-date-epoch/ */
function sourceEpoch() {
  return Number(process.env.SOURCE_DATE_EPOCH ?? runIn(root, "git", "log", "-1", "--format=%ct"));
}

/** Builds the program for a processor, and what Node loads for this machine, in two new folders. */
async function build(arch) {
  const { buildForNode, buildProgram } = await import("./build/product.mjs");
  const { nativeParts } = await import("./package/parts.mjs");
  const { tryEngine } = await import("./package/try.mjs");
  const bun = requireBun();
  const work = join(root, "node_modules/.cache/packages", `build-${arch}`);
  rmSync(work, { recursive: true, force: true });
  const [folder, node] = ["program", "node"].map((name) => join(work, name));
  for (const path of [folder, node]) mkdirSync(path, { recursive: true });
  const { files, modules } = await buildProgram(folder, { arch, bun, ...nativeParts(arch) });
  if (!tryEngine(folder, arch)) process.stdout.write(`package: the engine for ${arch} can't be run here\n`);
  await buildForNode(node);
  copyFileSync(nativeParts(process.arch).koffi, join(node, "koffi.node"));
  chmodSync(join(node, "koffi.node"), 0o644);
  return { bun, folder, node, files, modules };
}

/** Makes all packages for a processor; returns the names of their files. */
async function makePackages({ arch, epoch, version, fast }) {
  const { makeDeb } = await import("./package/deb.mjs");
  const { billOfMaterials, copyrightFile, licensesOf, materialsOf } = await import("./package/materials.mjs");
  const { makeRpm } = await import("./package/rpm.mjs");
  const { makeTarball, TARBALL_PREFIX } = await import("./package/tarball.mjs");
  const { programTree } = await import("./package/tree.mjs");

  const { bun, folder, node, files, modules } = await build(arch);
  const contents = Object.fromEntries(
    Object.keys(files).map((name) => [name, readFileSync(join(folder, name))]),
  );
  const binaries = {
    files: [contents["runts-engine"], contents["koffi.node"]],
    own: "koffi-cxx.so" in contents ? ["libstdc++.so.6"] : [],
  };
  const materials = materialsOf({ modules, bun });
  const copyright = copyrightFile(materials);
  const licenses = licensesOf(materials);
  const common = { output, arch, version, epoch, fast, binaries, copyright, licenses, maintainer };
  const tree = (below, prefix, zsh) => programTree({ folder, files, node, below, prefix, zsh });
  const bill = `runts-${version}-linux-${arch}.cdx.json`;
  const text = billOfMaterials({ materials, version, arch, epoch, files: contents });
  writeFileSync(join(output, bill), `${JSON.stringify(text, undefined, 2)}\n`);
  return [
    makeDeb({ ...common, tree: tree("usr", "/usr", "vendor-completions") }),
    makeRpm({ ...common, tree: tree("usr", "/usr", "site-functions") }),
    makeTarball({ ...common, tree: tree("", TARBALL_PREFIX, "site-functions") }),
    bill,
  ];
}

async function main() {
  const { values } = parseArgs({
    options: {
      arch: { type: "string", multiple: true, default: ["x64", "arm64"] },
      "check-reproducible": { type: "boolean", default: false },
      "check-npm": { type: "boolean", default: false },
      "no-lint": { type: "boolean", default: false },
      fast: { type: "boolean", default: false },
    },
  });
  const unknown = values.arch.filter((arch) => !["x64", "arm64"].includes(arch));
  if (unknown.length > 0) throw new Missing(`there are no packages for ${unknown.join(" ")}: x64 arm64`);
  ensureModules();
  if (values["check-npm"]) {
    const { checkNpmPackage } = await import("./package/npm.mjs");
    checkNpmPackage();
    process.stdout.write("package: what npm pack makes can be installed and used elsewhere\n");
    return 0;
  }
  const { emulator } = await import("./package/try.mjs");
  ensurePackages([
    ...tools,
    ...(values["no-lint"] ? [] : linters),
    ...(process.arch === "x64" && values.arch.includes("arm64") ? emulator : []),
  ]);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const epoch = sourceEpoch();
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output);
  const made = [];
  for (const arch of values.arch)
    made.push(...(await makePackages({ arch, epoch, version, fast: values.fast })));
  const sums = made.map((name) => {
    const sum = createHash("sha256").update(readFileSync(join(output, name)));
    return `${sum.digest("hex")}  ${name}\n`;
  });
  writeFileSync(join(output, "SHA256SUMS"), sums.join(""));
  process.stdout.write(`packages: ${made.join(", ")}\n`);
  if (values["check-reproducible"]) {
    const { checkReproducible } = await import("./package/reproducible.mjs");
    checkReproducible({ output, epoch, architectures: values.arch });
    process.stdout.write("package: another build is equal\n");
  }
  if (values["no-lint"]) return 0;
  const { lint } = await import("./package/lint.mjs");
  lint(output, made);
  process.stdout.write("package: lintian and rpmlint have no complaints\n");
  return 0;
}

runScript("package", main);
