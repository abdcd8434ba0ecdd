/**
 * Debian's next release, forky, has newer runtimes than this machine's. They are downloaded by apt with sources, lists and caches of
 * their own, so that nothing of the machine's own apt changes, and unpacked into node_modules/.cache/forky-peers.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Missing, root, runIn, unpackPackages, which } from "./machine.mjs";

const cache = join(root, "node_modules/.cache/forky-peers");
const unpacked = join(cache, "unpacked");

/** The runtimes, and what crun is linked with that an older Debian does not have. */
const packages = ["runc", "crun", "libblake3-0"];

/** The first is its name since Debian 13. */
const keyrings = ["pgp", "gpg"].map((ending) => `/usr/share/keyrings/debian-archive-keyring.${ending}`);

const aptOptions = [
  ["Dir::Etc::SourceList", join(cache, "sources.list")],
  ["Dir::Etc::SourceParts", "-"],
  ["Dir::Etc::Preferences", "-"],
  ["Dir::Etc::PreferencesParts", "-"],
  ["Dir::State::Lists", join(cache, "lists")],
  ["Dir::State::status", join(cache, "status")],
  ["Dir::Cache", cache],
  // Nobody but root may be able to reach the folder.
  ["APT::Sandbox::User", "root"],
  ["Acquire::Languages", "none"],
  ["Acquire::Retries", "3"],
  // A mirror without forky would be a warning.
  ["APT::Update::Error-Mode", "any"],
].flatMap(([name, value]) => ["-o", `${name}=${value}`]);

/** The runc and crun that forky has today, and the folder of shared libraries that they need besides the machine's. */
export function ensureForkyPeers() {
  if (which("apt-get") === undefined)
    throw new Missing("forky's runc and crun are downloaded by apt-get, which is not here.");
  process.stdout.write("downloading forky's runc and crun by apt-get, for these tests alone\n");
  for (const folder of ["lists/partial", "archives/partial"])
    mkdirSync(join(cache, folder), { recursive: true });
  writeFileSync(join(cache, "status"), "");
  readPackageLists();
  unpackAnew();
  const triplet = readdirSync(join(unpacked, "usr/lib")).find((name) => name.endsWith("-linux-gnu"));
  return {
    runtimes: [join(unpacked, "usr/sbin/runc"), join(unpacked, "usr/bin/crun")],
    libraries: join(unpacked, "usr/lib", triplet),
  };
}

/** Of the first of the machine's mirrors that has forky. */
function readPackageLists() {
  const keyring = keyrings.find((path) => existsSync(path));
  if (keyring === undefined) throw new Missing(`none of Debian's keyrings is here: ${keyrings.join(", ")}`);
  const failures = [];
  for (const mirror of mirrorsOf(runIn(root, "apt-get", "update", "--print-uris"))) {
    writeFileSync(join(cache, "sources.list"), `deb [signed-by=${keyring}] ${mirror} forky main\n`);
    const { status, stderr } = spawnSync("apt-get", [...aptOptions, "-qq", "update"], { encoding: "utf8" });
    if (status === 0) return;
    failures.push(`  ${mirror}: ${stderr.trim()}`);
  }
  throw new Missing(["no mirror in apt's sources has Debian's release forky:", ...failures].join("\n"));
}

/** From what `apt-get update --print-uris` prints: the mirrors of whole releases, and not those of updates alone. */
export function mirrorsOf(uris) {
  const found = [...uris.matchAll(/^'([a-z+]+:\S+)\/dists\/[a-z]+\/InRelease'/gm)];
  return [...new Set(found.map(([, mirror]) => mirror))];
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
