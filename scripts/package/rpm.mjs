/** The package for distributions that use rpm, made by Debian's rpmbuild. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runIn } from "../machine.mjs";
import { rpmRequires } from "./dependencies.mjs";
import { fill, scriptParts } from "./templates.mjs";
import { readText, textFile, writeTree } from "./tree.mjs";
import { upstreamVersion } from "./versions.mjs";

const ARCHITECTURES = { x64: "x86_64", arm64: "aarch64" };
const ENGINES_SETTINGS = "etc/containers/containers.conf.d/runts.conf";
const LICENSE = "usr/share/licenses/runts/LICENSE";

function fileLine(path) {
  if (path === ENGINES_SETTINGS) return `%config(noreplace) /${path}`;
  if (path === LICENSE) return `%license /${path}`;
  return path.startsWith("usr/share/doc/") ? `%doc /${path}` : `/${path}`;
}

/** The folders that the package removes with itself. The rest belongs to the distribution. */
function ownFolders(paths) {
  const folders = paths.flatMap((path) =>
    path.split("/").map((_, index, names) => names.slice(0, index).join("/")),
  );
  const own = folders.filter((folder) => /\/(runts|containers\.conf\.d|site-functions)(\/|$)/.test(folder));
  return [...new Set(own)].sort();
}

/** The parts of scripts for a spec file, in which rpm expands what follows a `%`. */
function specParts() {
  const parts = Object.entries(scriptParts("systemctl start"));
  return Object.fromEntries(parts.map(([name, text]) => [name, text.replaceAll("%", "%%")]));
}

/** Makes the package in `output` from the tree of the program, and returns the name of its file. */
export function makeRpm({
  output,
  tree: program,
  arch,
  version,
  maintainer,
  epoch,
  fast,
  binaries,
  copyright,
  licenses,
}) {
  const name = ARCHITECTURES[arch];
  const tree = new Map(program);
  const put = (path, content) => tree.set(path, textFile(content));
  put(ENGINES_SETTINGS, readText("examples/podman/runts.conf"));
  put(LICENSE, readText("LICENSE"));
  put("usr/share/doc/runts/copyright", copyright);
  put("usr/share/doc/runts/CHANGELOG.md", readText("CHANGELOG.md"));

  const folder = mkdtempSync(join(output, ".rpm-"));
  try {
    const [root, top] = ["root", "top"].map((part) => join(folder, part));
    for (const path of [root, top]) mkdirSync(path);
    writeTree(root, tree, epoch);
    const [day, date, month, year] = new Date(epoch * 1000).toUTCString().split(/,? /);
    const spec = fill(readText("packaging/rpm/runts.spec"), {
      ROOT: root,
      LEVEL: fast ? "1" : "9",
      VERSION: upstreamVersion(version),
      LICENSE: licenses.join(" AND "),
      REQUIRES: rpmRequires(binaries.files, binaries.own)
        .map((capability) => `Requires: ${capability}`)
        .join("\n"),
      FILES: [
        ...ownFolders([...tree.keys()]).map((folder) => `%dir /${folder}`),
        ...[...tree.keys()].map(fileLine),
      ].join("\n"),
      DATE: `${day} ${month} ${date} ${year}`,
      MAINTAINER: maintainer,
      ...specParts(),
    });
    writeFileSync(join(folder, "runts.spec"), spec);
    const args = ["-bb", "--quiet", "--target", `${name}-linux`, "--define", `_topdir ${top}`];
    runIn(
      folder,
      "env",
      `SOURCE_DATE_EPOCH=${epoch}`,
      "LC_ALL=C",
      "TZ=UTC",
      "rpmbuild",
      ...args,
      "runts.spec",
    );
    const file = `runts-${upstreamVersion(version)}-1.${name}.rpm`;
    renameSync(join(top, "RPMS", name, file), join(output, file));
    return file;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
