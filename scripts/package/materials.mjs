/** The bill of materials: what of others is in the packages, with versions and licences. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root, runIn } from "../machine.mjs";
import { readText } from "./tree.mjs";

/** The npm package that a module belongs to, or undefined for one of the sources. */
export function packageOf(module) {
  return /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(module)?.[0].slice(0, -1);
}

/** An npm package by its folder. */
function npmMaterial(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? undefined : readFileSync(join(folder, file), "utf8").trim();
  return { name, version, license, text, purl: `pkg:npm/${name.replace("@", "%40")}@${version}` };
}

/** Bun, with the libraries that it is linked with. It tells the versions of most. */
function bunMaterial(bun) {
  const versions = JSON.parse(
    runIn(root, bun, "-e", "process.stdout.write(JSON.stringify(process.versions))"),
  );
  const parts = JSON.parse(readText("packaging/third-parties.json")).map(({ version, ...part }) => {
    if (version !== undefined && versions[version] === undefined)
      throw new Error(`Bun does not tell the version of ${part.name}: packaging/third-parties.json`);
    return { ...part, version: versions[version] };
  });
  return { name: "bun", version: versions.bun, license: "MIT", purl: `pkg:npm/bun@${versions.bun}`, parts };
}

/** What of others is in a build. `modules` are the paths of the bundled modules. */
export function materialsOf({ modules, bun }) {
  const folders = [...new Set(modules.map(packageOf))].filter((folder) => folder !== undefined);
  // The engine loads koffi's native part only.
  const packages = [...folders, join(root, "node_modules/koffi")].map(npmMaterial);
  return { packages: packages.sort((a, b) => (a.name < b.name ? -1 : 1)), bun: bunMaterial(bun) };
}

/** The licences of the program and its parts: SPDX expressions, to be joined by AND. */
export function licensesOf({ packages, bun }) {
  const all = [...packages, bun, ...bun.parts].flatMap(({ license }) => license.split(" AND "));
  const sorted = [...new Set(all)].sort();
  return ["Apache-2.0", ...sorted.filter((license) => license !== "Apache-2.0")].map((license) =>
    license.includes(" OR ") ? `(${license})` : license,
  );
}

function component({ name, version, license, purl, url, parts }) {
  return {
    type: "library",
    name,
    ...(version && { version }),
    licenses: [/ /.test(license) ? { expression: license } : { license: { id: license } }],
    ...(purl && { purl, "bom-ref": purl }),
    ...(url && { externalReferences: [{ type: "website", url }] }),
    ...(parts && { components: parts.map(component) }),
  };
}

/** The bill in CycloneDX's format. `files` are the program's by name. */
export function billOfMaterials({ materials: { packages, bun }, version, arch, epoch, files }) {
  const purl = `pkg:generic/runts@${version}?arch=${arch}`;
  const hashed = Object.entries(files).map(([name, content]) => ({
    type: "file",
    name: `usr/lib/runts/${name}`,
    hashes: [{ alg: "SHA-256", content: createHash("sha256").update(content).digest("hex") }],
  }));
  return {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      timestamp: new Date(epoch * 1000).toISOString(),
      component: {
        type: "application",
        name: "runts",
        version,
        "bom-ref": purl,
        purl,
        licenses: [{ license: { id: "Apache-2.0" } }],
      },
    },
    components: [...packages, bun].map(component).concat(hashed),
    dependencies: [{ ref: purl, dependsOn: [...packages, bun].map((material) => material.purl) }],
  };
}

/** A paragraph of a copyright file: its lines are indented, and empty ones have a dot. */
function indented(text) {
  return text
    .split("\n")
    .map((line) => (line.trim() === "" ? " ." : ` ${line.trimEnd()}`))
    .join("\n");
}

function copyrightLines(text) {
  const lines = text.match(/^\s*Copyright .*$/gim) ?? [];
  return lines.map((line) => line.trim().replace(/^Copyright\s*(\(c\)|©)?\s*/i, ""));
}

/** The copyright file, in Debian's machine-readable format. */
export function copyrightFile({ packages, bun }) {
  const engine = packages.filter(({ name }) => name !== "koffi");
  const koffi = packages.find(({ name }) => name === "koffi");
  const libraries = bun.parts.map(
    ({ name, version, license, url }) => ` ${name}${version ? ` ${version}` : ""}: ${license}, ${url}`,
  );
  const holders = [...new Set(engine.flatMap(({ text = "" }) => copyrightLines(text)))];
  const licences = engine.map(
    ({ name, version, text = "" }) => ` ${name} ${version}:\n .\n${indented(text)}`,
  );
  return [
    readText("packaging/copyright.txt").trim(),
    "",
    "Files: usr/lib/runts/runts-engine",
    `Copyright: the authors of runts\n the authors of Bun and of its libraries\n${holders.map((holder) => ` ${holder}`).join("\n")}`,
    "License: Apache-2.0 and engine-parts",
    "",
    "Files: usr/lib/runts/koffi.node",
    `Copyright: ${copyrightLines(koffi.text).join("\n ")}`,
    "License: Expat",
    "",
    "License: Apache-2.0",
    " On Debian systems, the text of the Apache License 2.0 is in",
    " /usr/share/common-licenses/Apache-2.0.",
    "",
    "License: engine-parts",
    ` Bun ${bun.version} is under the MIT license (see Expat below). Its libraries:`,
    " .",
    ...libraries,
    " .",
    " The texts of the LGPL are in /usr/share/common-licenses on Debian systems, as",
    " LGPL-2 and LGPL-2.1.",
    " .",
    ` The licenses of the npm packages in the program:\n .\n${licences.join("\n .\n")}`,
    "",
    "License: Expat",
    indented(koffi.text.replace(/^(.*Copyright.*\n+)+/im, "")),
    "",
  ].join("\n");
}
