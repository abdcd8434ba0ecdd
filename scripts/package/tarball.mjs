/** The archive for any other distribution: unpacked into /usr/local, it is installed. */
import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { runIn } from "../machine.mjs";
import { readText, textFile, writeTree } from "./tree.mjs";

/** The folder that it is made for. */
export const TARBALL_PREFIX = "/usr/local";

/** Makes the archive in `output` from the tree of the program, and returns the name of its file. */
export function makeTarball({ output, tree: program, arch, version, epoch, fast, copyright }) {
  const tree = new Map(program);
  const put = (path, content) => tree.set(path, textFile(content));
  put("share/doc/runts/LICENSE", readText("LICENSE"));
  put("share/doc/runts/copyright", copyright);
  put("share/doc/runts/CHANGELOG.md", readText("CHANGELOG.md"));

  const top = `runts-${version}-linux-${arch}`;
  const folder = mkdtempSync(join(output, ".tar-"));
  try {
    mkdirSync(join(folder, top));
    writeTree(join(folder, top), tree, epoch);
    const fixed = ["--sort=name", `--mtime=@${epoch}`, "--owner=0", "--group=0", "--numeric-owner"];
    runIn(folder, "tar", "--format=ustar", ...fixed, "-cf", "archive.tar", top);
    const file = `${top}.tar.gz`;
    runIn(folder, "gzip", fast ? "-n1" : "-n", "archive.tar");
    renameSync(join(folder, "archive.tar.gz"), join(output, file));
    return file;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
