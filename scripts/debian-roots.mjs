/**
 * Root file systems of Debian's releases for `npm run test:package`, in node_modules/.cache/debian-roots: `bare` is Debian's minimal
 * system, `engines` the same with container engines, and `rpm` has rpm too. `packages` is a repository of all that is installed later, so
 * that the tests need no network. Those that are older than a week are made anew.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromRelease } from "./forky.mjs";
import { mirrorSettings } from "./forky-root.mjs";
import { root, runIn } from "./machine.mjs";

const cache = join(root, "node_modules/.cache/debian-roots");
const WEEK_MS = 7 * 24 * 3600 * 1000;

/** What the package of runts depends on, or recommends. apt installs what these recommend, too. */
const DEPENDENCIES = ["criu", "libgcc-s1", "libseccomp2", "libsystemd0", "uidmap"];
const ENGINES = ["buildah", "catatonit", "iproute2", "netavark", "nftables", "podman"];
const RPM = ["rpm"];

/** Where the repository is in the root file systems. */
const REPOSITORY = "/var/local/packages";

const SOURCES = `Types: deb\nURIs: file:${REPOSITORY}\nSuites: ./\nTrusted: yes\n`;

/** Run by mmdebstrap with the path of the new root: downloads what is installed later into the folder $PACKAGES. */
const DOWNLOAD = `set -e
chroot "$1" apt-get -qq -y --download-only install ${DEPENDENCIES.join(" ")}
chroot "$1" apt-get -qq -y --download-only --no-install-recommends install ${[...ENGINES, ...RPM].join(" ")}
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

/** Makes a minimal system, and downloads what is installed later. */
function bootstrap(release, directory) {
  // The machine's settings for mirrors, such as a proxy.
  const settings = join(directory, "apt.conf");
  writeFileSync(settings, mirrorSettings(runIn(root, "apt-config", "dump")));
  const words = ["--quiet", "--mode=root", "--variant=minbase", "--format=directory", `--aptopt=${settings}`];
  const env = { ...process.env, PACKAGES: join(directory, "packages") };
  const folder = join(directory, "bare");
  fromRelease(release, (source) => {
    rmSync(folder, { recursive: true, force: true });
    const done = spawnSync(
      "mmdebstrap",
      [...words, `--customize-hook=${DOWNLOAD}`, release, folder, source],
      {
        encoding: "utf8",
        env,
      },
    );
    return done.status === 0 ? undefined : done.stderr;
  });
}

/** Installs packages from the repository, in namespaces which take the mounts with them. */
function install(folder, packages, names) {
  const unshare = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"];
  runIn(cache, "unshare", ...unshare, "sh", "-c", INSTALL, "sh", folder, packages, ...names);
}

function make(release, directory) {
  const path = (name) => join(directory, name);
  mkdirSync(path("packages"));
  bootstrap(release, directory);
  runIn(cache, join(root, "spec-tests/harness/index-packages.sh"), path("packages"));
  for (const file of ["sources.list", "sources.list.d/0000debian.sources"])
    rmSync(join(path("bare"), "etc/apt", file), { force: true });
  writeFileSync(join(path("bare"), "etc/apt/sources.list.d/local.sources"), SOURCES);
  install(path("bare"), path("packages"), []);
  for (const [from, to, names] of [
    ["bare", "engines", ENGINES],
    ["engines", "rpm", RPM],
  ]) {
    runIn(directory, "cp", "-a", "--reflink=auto", from, to);
    install(path(to), path("packages"), names);
  }
}

/** Makes the root file systems of the releases, unless there are some of this week. Returns the folder that has a folder of each. */
export function ensureDebianRoots(releases) {
  for (const release of releases) {
    const madeMs = statSync(join(cache, release), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (Date.now() - madeMs > WEEK_MS) makeAnew(release);
  }
  return cache;
}

function makeAnew(release) {
  const folder = join(cache, release);
  process.stdout.write(`making root file systems of Debian's ${release}, by mmdebstrap\n`);
  mkdirSync(cache, { recursive: true });
  const directory = mkdtempSync(join(cache, `.${release}-`));
  try {
    make(release, directory);
    rmSync(folder, { recursive: true, force: true });
    renameSync(directory, folder);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
