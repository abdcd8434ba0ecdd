/**
 * Root file systems of Debian's releases for `npm run test:package`, in node_modules/.cache/debian-roots: `bare` is Debian's minimal
 * system, `engines` the same with container engines, and `rpm` has rpm too. `systemd` and `rpm-systemd` are `bare` and `rpm` with systemd.
 * `packages` is a repository of all that is installed later, so that the tests need no network.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bootstrap, fits, isOld, mmdebstrap } from "./debian-releases.mjs";
import { ensurePackages, Missing, root, runIn } from "./machine.mjs";

const cache = join(root, "node_modules/.cache/debian-roots");

/** What the package of runts depends on, or recommends. apt installs what these recommend, too. */
const DEPENDENCIES = ["criu", "libgcc-s1", "libseccomp2", "libsystemd0", "uidmap"];
const ENGINES = ["buildah", "catatonit", "iproute2", "netavark", "nftables", "podman"];
const RPM = ["rpm"];
const SYSTEMD = ["systemd"];
const wanted = [...DEPENDENCIES, ...ENGINES, ...RPM, ...SYSTEMD];

/** Where the repository is in the root file systems. */
const REPOSITORY = "/var/local/packages";

const SOURCES = `Types: deb\nURIs: file:${REPOSITORY}\nSuites: ./\nTrusted: yes\n`;

/** Run by mmdebstrap with the path of the new root: downloads what is installed later into the folder $PACKAGES. */
const DOWNLOAD = `set -e
# The minimal system may have libseccomp2 already, and a test installs it once more.
chroot "$1" apt-get -qq -y --download-only --reinstall install libseccomp2
chroot "$1" apt-get -qq -y --download-only install ${DEPENDENCIES.join(" ")}
chroot "$1" apt-get -qq -y --download-only --no-install-recommends install ${[...ENGINES, ...RPM, ...SYSTEMD].join(" ")}
cp "$1"/var/cache/apt/archives/*.deb "$PACKAGES"
mkdir -p "$1${REPOSITORY}"`;

/** Installs packages in the root $1 from the repository $2. Without packages it only reads the package list. */
const INSTALL = `set -e
root=$1 packages=$2
shift 2
mount --bind "$packages" "$root${REPOSITORY}"
mount -t proc proc "$root/proc"
chroot "$root" apt-get -qq update
if [ $# -gt 0 ]; then
  DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$root" apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install "$@"
fi`;

/** Installs packages from the repository, in namespaces which take the mounts with them. */
function install(folder, packages, names) {
  const unshare = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"];
  runIn(cache, "unshare", ...unshare, "sh", "-c", INSTALL, "sh", folder, packages, ...names);
}

function make(release, directory) {
  const path = (name) => join(directory, name);
  mkdirSync(path("packages"));
  const hook = `--customize-hook=${DOWNLOAD}`;
  bootstrap(release, path("bare"), ["--variant=minbase", hook], { PACKAGES: path("packages") });
  runIn(cache, join(root, "spec-tests/harness/index-packages.sh"), path("packages"));
  for (const file of ["sources.list", "sources.list.d/0000debian.sources"])
    rmSync(join(path("bare"), "etc/apt", file), { force: true });
  writeFileSync(join(path("bare"), "etc/apt/sources.list.d/local.sources"), SOURCES);
  install(path("bare"), path("packages"), []);
  for (const [from, to, names] of [
    ["bare", "engines", ENGINES],
    ["engines", "rpm", RPM],
    ["bare", "systemd", SYSTEMD],
    ["rpm", "rpm-systemd", SYSTEMD],
  ]) {
    runIn(directory, "cp", "-a", "--reflink=auto", from, to);
    install(path(to), path("packages"), names);
  }
}

/** Makes the root file systems of the releases that are missing, have other packages, or are old. Returns the folder that has a folder of each. */
export function ensureDebianRoots(releases) {
  for (const release of releases) {
    const present = readRecord(release);
    if (fits(present, wanted) && !isOld(present)) continue;
    ensurePackages([mmdebstrap]);
    try {
      makeAnew(release);
    } catch (error) {
      if (!(error instanceof Missing) || !fits(present, wanted)) throw error;
      process.stdout.write(`${error.message}\nthe root file systems of ${present.date} are used\n`);
    }
  }
  return cache;
}

function recordOf(folder) {
  return join(folder, "record.json");
}

function readRecord(release) {
  const file = recordOf(join(cache, release));
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
}

function makeAnew(release) {
  const folder = join(cache, release);
  process.stdout.write(`making root file systems of Debian's ${release}, by mmdebstrap\n`);
  mkdirSync(cache, { recursive: true });
  const directory = mkdtempSync(join(cache, `.${release}-`));
  try {
    make(release, directory);
    writeFileSync(recordOf(directory), JSON.stringify({ packages: wanted, date: new Date().toISOString() }));
    rmSync(folder, { recursive: true, force: true });
    renameSync(directory, folder);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
