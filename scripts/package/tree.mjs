/**
 * What the packages install, as a map from paths to entries: a file, `{ mode, content }`, a file to copy, `{ mode, source }`, or a symbolic
 * link, `{ link }`. Paths have no slash in front.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { root, runIn } from "../machine.mjs";

const EXAMPLES = [
  "docker/daemon.json",
  "kubernetes/containerd-1.7.toml",
  "kubernetes/containerd-2.toml",
  "kubernetes/crio-runts.conf",
  "kubernetes/pod.yaml",
  "kubernetes/runtimeclass.yaml",
  "podman/containers.conf",
  "podman/runts.conf",
];

export function readText(path) {
  return readFileSync(join(root, path), "utf8");
}

/** An entry of a tree. */
export function textFile(content, mode = 0o644) {
  return { mode, content: Buffer.from(content) };
}

/** A file of examples/, in which runts is installed below /usr, for another prefix. */
export function exampleFor(prefix, path) {
  return readText(join("examples", path)).replace(/\/usr(?=\/(?:bin|lib)\/runts\b)/g, prefix);
}

/** `gzip -9n`: no name and no time. gzip's output has not changed for years, while that of zlib in Node depends on Node's version. */
export function gzip(content) {
  const { status, stdout, stderr } = spawnSync("gzip", ["-9n"], { input: content, maxBuffer: 2 ** 30 });
  if (status !== 0) throw new Error(`gzip: ${stderr}`);
  return stdout;
}

/** The output of the program, which Node runs: the same for all processors. */
function output(program, ...args) {
  return runIn(root, process.execPath, program, ...args);
}

/** The manual pages by the names of their files. The first page lists the others. */
function manualPages(program) {
  const first = output(program, "man");
  const commands = [...first.matchAll(/^\\fBrunts\\-([\w\\-]+)\\fR\(8\)$/gm)].map(([, name = ""]) => name);
  if (commands.length === 0) throw new Error("runts.8 lists no commands");
  return Object.fromEntries([
    ["runts.8", first],
    ...commands.map((name) => [`runts-${name.replaceAll("\\", "")}.8`, output(program, "man", name)]),
  ]);
}

/**
 * `folder` has the program, whose names and modes are `files`; `node` the bundles for Node. `zsh` is the folder of zsh's completions below
 * share. The examples and the unit name paths below `prefix`, and the tree has paths below `below`.
 */
export function programTree({ folder, files, node, prefix, below, zsh }) {
  const tree = new Map();
  const at = (path) => join(below, path);
  const put = (path, content) => tree.set(at(path), textFile(content));
  for (const [name, mode] of Object.entries(files))
    tree.set(at(`lib/runts/${name}`), { mode, source: join(folder, name) });
  tree.set(at("bin/runts"), { link: "../lib/runts/runts" });
  const program = join(node, "runts.mjs");
  for (const [name, page] of Object.entries(manualPages(program)))
    put(`share/man/man8/${name}.gz`, gzip(page));
  put("share/bash-completion/completions/runts", output(program, "completion", "bash"));
  put(`share/zsh/${zsh}/_runts`, output(program, "completion", "zsh"));
  put("share/fish/vendor_completions.d/runts.fish", output(program, "completion", "fish"));
  put("lib/systemd/system/runts-warm.service", exampleFor(prefix, "systemd/runts-warm.service"));
  for (const path of EXAMPLES) put(`share/doc/runts/examples/${path}`, exampleFor(prefix, path));
  const readme = readText("packaging/examples.md").replaceAll("@BIN@", `${prefix}/bin`);
  put("share/doc/runts/examples/README", readme);
  return tree;
}

function writeEntry(path, { mode, content, source, link }) {
  if (link !== undefined) return symlinkSync(link, path);
  if (source === undefined) writeFileSync(path, content);
  else copyFileSync(source, path);
  chmodSync(path, mode);
}

/** Writes a tree into an empty folder. Modes and times don't depend on the umask and the clock. */
export function writeTree(folder, tree, epoch) {
  chmodSync(folder, 0o755);
  for (const [path, entry] of tree) {
    const file = join(folder, path);
    for (let missing = dirname(path); missing !== "."; missing = dirname(missing)) {
      mkdirSync(join(folder, missing), { recursive: true });
      chmodSync(join(folder, missing), 0o755);
    }
    writeEntry(file, entry);
    lutimesSync(file, epoch, epoch);
  }
  // Each new file changes the time of its folder.
  for (const path of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (path.isDirectory()) utimesSync(join(path.parentPath, path.name), epoch, epoch);
  utimesSync(folder, epoch, epoch);
}
