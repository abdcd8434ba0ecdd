/**
 * `npm run package [-- --arch x64|arm64]`: makes the packages in packages/: .deb, .rpm and .tar.gz for both processors, bills of materials,
 * and SHA256SUMS. Two builds of one commit are equal. docs/packages.md says what is in them.
 */
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findBun } from "./bun.mjs";
import { ensureModules, ensurePackages, Missing, root, runIn } from "./machine.mjs";

const debianPackages = [
  { name: "dpkg", program: "dpkg-deb", needed: true, why: "makes the .deb" },
  { name: "rpm", program: "rpmbuild", needed: true, why: "makes the .rpm" },
  { name: "lintian", program: "lintian", needed: true, why: "checks the .deb" },
  { name: "rpmlint", program: "rpmlint", needed: true, why: "checks the .rpm" },
];

/** The time of the commit, which all files get. */
function sourceEpoch() {
  const { SOURCE_DATE_EPOCH } = process.env;
  return Number(SOURCE_DATE_EPOCH ?? runIn(root, "git", "log", "-1", "--format=%ct"));
}

async function makePackages({ arch, output, epoch, version }) {
  const { buildForNode, buildProgram } = await import("./build/product.mjs");
  const { billOfMaterials, copyrightFile, materialsOf } = await import("./package/materials.mjs");
  const { nativeParts } = await import("./package/parts.mjs");
  const { programTree } = await import("./package/tree.mjs");
  const { makeDeb } = await import("./package/deb.mjs");

  const bun = findBun();
  if (!bun) throw new Missing('Bun is missing; run "npm install"');
  const work = join(root, "node_modules/.cache/packages", `build-${arch}`);
  rmSync(work, { recursive: true, force: true });
  const [folder, node] = ["program", "node"].map((name) => join(work, name));
  for (const path of [folder, node]) mkdirSync(path, { recursive: true });
  const { files, modules } = await buildProgram(folder, { arch, bun, ...nativeParts(arch) });
  await buildForNode(node);
  // The manual pages and completions come from the program in Node, which runs on this machine for both processors.
  copyFileSync(nativeParts(process.arch).koffi, join(node, "koffi.node"));
  chmodSync(join(node, "koffi.node"), 0o644);

  const contents = Object.fromEntries(
    Object.keys(files).map((name) => [name, readFileSync(join(folder, name))]),
  );
  const hasCxxRuntime = "koffi-cxx.so" in files;
  const binaries = {
    files: [contents["runts-engine"], contents["koffi.node"]],
    own: hasCxxRuntime ? ["libstdc++.so.6"] : [],
  };
  const materials = materialsOf({ modules, bun });
  const copyright = copyrightFile(materials);
  const common = {
    output,
    arch,
    version,
    epoch,
    binaries,
    copyright,
    maintainer: "runts maintainers <runts@localhost>",
  };
  const tree = programTree({ folder, files, node, prefix: "/usr", below: "usr", zsh: "vendor-completions" });
  const made = [makeDeb({ ...common, tree })];
  const bill = billOfMaterials({ materials, version, arch, epoch, files: contents });
  const billName = `runts-${version}-linux-${arch}.cdx.json`;
  writeFileSync(join(output, billName), `${JSON.stringify(bill, undefined, 2)}\n`);
  return [...made, billName];
}

async function main() {
  const { values } = parseArgs({
    options: { arch: { type: "string", multiple: true, default: ["x64", "arm64"] } },
  });
  ensureModules();
  ensurePackages(debianPackages);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const output = join(root, "packages");
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const made = [];
  for (const arch of values.arch)
    made.push(...(await makePackages({ arch, output, epoch: sourceEpoch(), version })));
  const sums = made.map(
    (name) =>
      `${createHash("sha256")
        .update(readFileSync(join(output, name)))
        .digest("hex")}  ${name}\n`,
  );
  writeFileSync(join(output, "SHA256SUMS"), sums.join(""));
  process.stdout.write(`packages: ${made.join(", ")}\n`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof Missing)) throw error;
  process.stderr.write(`package: ${error.message}\n`);
  process.exitCode = 1;
}
