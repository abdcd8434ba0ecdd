/** The package for Debian and what is derived from it, made by dpkg-deb. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { runIn } from "../machine.mjs";
import { debianDepends } from "./dependencies.mjs";
import { fill, scriptParts } from "./templates.mjs";
import { gzip, readText, textFile, writeTree } from "./tree.mjs";
import { upstreamVersion } from "./versions.mjs";

const ARCHITECTURES = {
  x64: { name: "amd64", multiarch: "x86_64-linux-gnu" },
  arm64: { name: "arm64", multiarch: "aarch64-linux-gnu" },
};

/** Debian's changelog of the package. The list of changes is in the other one. */
function debianChangelog(version, maintainer, epoch) {
  const date = new Date(epoch * 1000).toUTCString().replace("GMT", "+0000");
  return `runts (${version}) unstable; urgency=medium\n\n  * Release: changelog.gz lists the changes.\n\n -- ${maintainer}  ${date}\n`;
}

/** Size in KiB as Policy 5.6.20 counts: each file by itself, rounded up, and 1 for anything else. */
function installedSize(tree) {
  const sizes = [...tree.values()].map(({ content, source }) => {
    const size = content?.length ?? (source === undefined ? 1 : readFileSync(source).length);
    return Math.ceil(size / 1024);
  });
  return sizes.reduce((sum, size) => sum + size, 0);
}

function md5sums(folder) {
  const files = runIn(folder, "find", ".", "-type", "f", "-printf", "%P\\n").trim().split("\n").sort();
  return runIn(folder, "md5sum", ...files);
}

/** Makes the package in `output` from the tree of the program, and returns the name of its file. */
export function makeDeb({
  output,
  tree: program,
  arch,
  version,
  maintainer,
  epoch,
  fast,
  binaries,
  copyright,
}) {
  const { name, multiarch } = ARCHITECTURES[arch];
  const debianVersion = `${upstreamVersion(version)}-1`;
  const tree = new Map(program);
  const put = (path, content) => tree.set(path, textFile(content));
  put("etc/containers/containers.conf.d/runts.conf", readText("examples/podman/runts.conf"));
  put("usr/share/doc/runts/copyright", copyright);
  put("usr/share/doc/runts/changelog.gz", gzip(readText("CHANGELOG.md")));
  put("usr/share/doc/runts/changelog.Debian.gz", gzip(debianChangelog(debianVersion, maintainer, epoch)));
  put("usr/share/lintian/overrides/runts", readText("packaging/deb/lintian-overrides"));
  const texts = {
    VERSION: debianVersion,
    ARCHITECTURE: name,
    MAINTAINER: maintainer,
    MULTIARCH: multiarch,
    SIZE: `${installedSize(tree)}`,
    DEPENDS: debianDepends(binaries.files, binaries.own),
    ...scriptParts("deb-systemd-invoke start"),
  };
  const control = new Map();
  for (const file of ["control", "conffiles", "triggers"])
    control.set(file, textFile(fill(readText(`packaging/deb/${file}`), texts)));
  for (const file of ["postinst", "prerm", "postrm"])
    control.set(file, textFile(fill(readText(`packaging/deb/${file}`), texts), 0o755));

  const folder = mkdtempSync(join(output, ".deb-"));
  try {
    writeTree(folder, tree, epoch);
    control.set("md5sums", textFile(md5sums(folder)));
    mkdirSync(join(folder, "DEBIAN"));
    writeTree(join(folder, "DEBIAN"), control, epoch);
    const file = `runts_${debianVersion}_${name}.deb`;
    // One thread, since the division of the input depends on their number. lintian takes no zstd. At its other levels, xz is slow.
    const args = [
      "--root-owner-group",
      ...(fast ? ["-Znone"] : ["-Zxz", "-z0"]),
      "--threads-max=1",
      "--build",
      folder,
      join(output, file),
    ];
    runIn(output, "env", `SOURCE_DATE_EPOCH=${epoch}`, "dpkg-deb", ...args);
    return file;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
