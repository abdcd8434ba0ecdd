/**
 * Downloads the newer runtimes of Debian's next release, forky, and unpacks them into node_modules/.cache/forky-peers. apt uses separate
 * sources, lists and caches for that, so that the machine's own apt stays unchanged.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromRelease } from "./debian-releases.mjs";
import { Missing, root, unpackPackages, which } from "./machine.mjs";

const cache = join(root, "node_modules/.cache/forky-peers");
const unpacked = join(cache, "unpacked");

/** The runtimes, and a library that forky's crun needs and an older Debian does not have. */
const packages = ["runc", "crun", "libblake3-0"];

const aptOptions = [
  ["Dir::Etc::SourceList", join(cache, "sources.list")],
  ["Dir::Etc::SourceParts", "-"],
  ["Dir::Etc::Preferences", "-"],
  ["Dir::Etc::PreferencesParts", "-"],
  ["Dir::State::Lists", join(cache, "lists")],
  ["Dir::State::status", join(cache, "status")],
  ["Dir::Cache", cache],
  // apt's own user may be unable to reach the folder.
  ["APT::Sandbox::User", "root"],
  ["Acquire::Languages", "none"],
  ["Acquire::Retries", "3"],
  // Makes a mirror without forky an error, not a warning.
  ["APT::Update::Error-Mode", "any"],
].flatMap(([name, value]) => ["-o", `${name}=${value}`]);

/** Downloads forky's present runc and crun. Returns them as `unpackedForkyPeers` does. */
export function ensureForkyPeers() {
  if (which("apt-get") === undefined)
    throw new Missing("apt-get, which downloads forky's runc and crun, is missing.");
  process.stdout.write("downloading forky's runc and crun by apt-get; they are not installed\n");
  for (const folder of ["lists/partial", "archives/partial"])
    mkdirSync(join(cache, folder), { recursive: true });
  writeFileSync(join(cache, "status"), "");
  readPackageLists();
  unpackAnew();
  return unpackedForkyPeers();
}

/**
 * The last downloaded runc and crun, by name, and the folder of shared libraries that they need in addition to the machine's; undefined if
 * none were downloaded.
 */
export function unpackedForkyPeers() {
  if (!existsSync(unpacked)) return undefined;
  const triplet = readdirSync(join(unpacked, "usr/lib")).find((name) => name.endsWith("-linux-gnu"));
  return {
    runtimes: { runc: join(unpacked, "usr/sbin/runc"), crun: join(unpacked, "usr/bin/crun") },
    libraries: join(unpacked, "usr/lib", triplet),
  };
}

function readPackageLists() {
  fromRelease("forky", (source) => {
    writeFileSync(join(cache, "sources.list"), `${source}\n`);
    const { status, stderr } = spawnSync("apt-get", [...aptOptions, "-qq", "update"], { encoding: "utf8" });
    return status === 0 ? undefined : stderr;
  });
}

function unpackAnew() {
  const directory = mkdtempSync(`${unpacked}-`);
  try {
    unpackPackages(directory, packages, aptOptions);
    rmSync(unpacked, { recursive: true, force: true });
    renameSync(directory, unpacked);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
