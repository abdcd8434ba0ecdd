/**
 * `node scripts/kubernetes/build.mjs`: builds Kubernetes from Debian's source package into node_modules/.cache/kubernetes/bin, once. Debian has no
 * package of the kubelet. The last source package that has all of Kubernetes, with everything that it imports, is Debian 12's. It needs Go 1.15,
 * which Debian 11 has: with Go 1.18 or later, one of its imports (reflect2) panics.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { mirrorsOf } from "../debian-releases.mjs";
import { ensurePackages, Missing, root, runIn, runScript } from "../machine.mjs";

/** Version of Kubernetes that is built. */
export const kubernetesVersion = "1.20.2";
const goVersion = "1.15";

const cache = join(root, "node_modules/.cache/kubernetes");
/** Folder of the programs. */
const kubernetesPrograms = join(cache, "bin");
/** What the build needs and nobody else. It is removed when all programs are there. */
const work = join(cache, "build");

/** Files of Debian's pool, with the checksums of Debian's signed indices of the suites bookworm and bullseye. */
const sources = {
  kubernetes: {
    path: "k/kubernetes/kubernetes_1.20.5+really1.20.2.orig.tar.gz",
    sha256: "b83c0780efb182d928dc63d46488a847f161f04e40a94b96bf5247dd671ecdfc",
  },
  goPrograms: {
    path: "g/golang-1.15/golang-1.15-go_1.15.15-1~deb11u4_amd64.deb",
    sha256: "33f6680406698b60370322aa5710be199006b3d66fbb0974b44da012de3aa82a",
  },
  goSources: {
    path: "g/golang-1.15/golang-1.15-src_1.15.15-1~deb11u4_amd64.deb",
    sha256: "e580f570f706d801191f9a17e55156736fc5979a6a878bab9304ca007ae29941",
  },
};

/** Where Debian keeps releases that the mirrors no longer have. */
const archive = "http://archive.debian.org/debian";

/** Packages for the build alone. */
const packages = [
  { name: "make", program: "make", needed: true, why: "generates sources of Kubernetes" },
  { name: "rsync", program: "rsync", needed: true, why: "generates sources of Kubernetes" },
  { name: "git", program: "git", needed: true, why: "generates sources of Kubernetes" },
  { name: "gcc", program: "gcc", needed: true, why: "compiles C parts of the kubelet" },
  { name: "libc6-dev", file: "/usr/include/stdio.h", needed: true, why: "compiles C parts of the kubelet" },
];

const command = (name) => ({ name, args: ["build"], from: `./cmd/${name}` });

/** The programs of a cluster, and those of Kubernetes' own tests, with the arguments of `go`. The kubelet needs the C library. */
const programs = [
  ...["kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubectl"].map(
    command,
  ),
  // agnhost's image has no C library. The other programs are built with cgo as the kubelet is: without it, the packages that they share would
  // be compiled a second time.
  { name: "agnhost", args: ["build", "-tags", "netgo"], from: "./test/images/agnhost", cgo: "0" },
  { name: "ginkgo", args: ["build"], from: "./vendor/github.com/onsi/ginkgo/ginkgo" },
  { name: "e2e.test", args: ["test", "-c"], from: "./test/e2e" },
];

/** Builds what is missing of the programs. A step that was interrupted is done anew, those before it are not. */
export function ensureKubernetes() {
  const missing = programs.filter(({ name }) => !existsSync(join(kubernetesPrograms, name)));
  if (missing.length === 0) return;
  if (process.arch !== "x64")
    throw new Missing("Kubernetes is built with Debian's Go for x86-64; this is another machine.");
  ensurePackages(packages);
  for (const folder of [work, kubernetesPrograms]) mkdirSync(folder, { recursive: true });
  report(`building Kubernetes ${kubernetesVersion} once: a quarter of an hour with two processors`);
  const go = whole(join(work, "go"), `unpacking Go ${goVersion}`, unpackGo);
  const tree = whole(join(work, "source"), "unpacking Kubernetes, generating sources", (part) =>
    prepareSource(part, go),
  );
  for (const [index, program] of missing.entries())
    whole(
      join(kubernetesPrograms, program.name),
      `building ${program.name} (${index + 1} of ${missing.length})`,
      (part) => build(program, part, tree, go),
    );
  rmSync(work, { recursive: true, force: true });
}

/** Makes a file or folder under another name and renames it, so that it is there as a whole or not at all. Returns its path. */
function whole(path, what, make) {
  if (existsSync(path)) return path;
  report(what);
  const begun = Date.now();
  const part = `${path}.part`;
  rmSync(part, { recursive: true, force: true });
  make(part);
  renameSync(part, path);
  report(`${what}: ${Math.round((Date.now() - begun) / 1000)} s`);
  return path;
}

/** Debian splits Go into two packages, which find each other by relative links of an installation. */
function unpackGo(part) {
  const unpacked = `${part}.packages`;
  rmSync(unpacked, { recursive: true, force: true });
  for (const source of [sources.goPrograms, sources.goSources])
    runIn(work, "dpkg-deb", "--extract", download(source), unpacked);
  const copy = (from, to) =>
    cpSync(join(unpacked, from), join(part, to), { recursive: true, verbatimSymlinks: true });
  copy(`usr/share/go-${goVersion}/src`, "src");
  for (const name of ["VERSION", "bin", "pkg/tool", "pkg/linux_amd64"])
    copy(`usr/lib/go-${goVersion}/${name}`, name);
  // Headers of the C parts.
  copy(`usr/share/go-${goVersion}/pkg/include`, "pkg/include");
  rmSync(unpacked, { recursive: true });
}

function prepareSource(part, go) {
  mkdirSync(part);
  runIn(part, "tar", "--extract", "--strip-components=1", "--file", download(sources.kubernetes));
  // The makefiles ask git for the files.
  runIn(part, "git", "init", "--quiet");
  runBuildStep(["make", "--quiet", "generated_files"], part, go);
}

function build({ args, from, cgo = "1" }, part, tree, go) {
  const version = "k8s.io/component-base/version";
  const [major, minor] = kubernetesVersion.split(".");
  const values = {
    gitVersion: `v${kubernetesVersion}`,
    gitMajor: major,
    gitMinor: minor,
    gitCommit: "debian",
    buildDate: "1970-01-01T00:00:00Z",
  };
  const settings = Object.entries(values).map(([name, value]) => `-X ${version}.${name}=${value}`);
  const words = ["go", ...args, "-ldflags", ["-s", "-w", ...settings].join(" "), "-o", part, from];
  runBuildStep(words, tree, go, { GOFLAGS: "-mod=vendor", CGO_ENABLED: cgo });
}

/** The build leaves the processors to whoever else needs them. */
function runBuildStep(words, directory, go, variables = {}) {
  const env = {
    ...process.env,
    GOROOT: go,
    PATH: `${join(go, "bin")}:${process.env.PATH}`,
    GOPATH: join(work, "gopath"),
    GOCACHE: join(work, "gocache"),
    GO111MODULE: "on",
    ...variables,
  };
  const { status, error } = spawnSync("nice", ["-n", "15", ...words], {
    cwd: directory,
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status !== 0) throw new Missing(`${words.join(" ")} failed (see above). ${error?.message ?? ""}`);
}

/** Downloads a file by apt, which knows the way to the mirrors and compares the checksum. Returns its path. */
function download({ path, sha256 }) {
  const target = join(work, basename(path));
  if (existsSync(target)) return target;
  const mirrors = [...mirrorsOf(runIn(root, "apt-get", "update", "--print-uris")), archive];
  const failures = [];
  for (const mirror of mirrors) {
    const uri = `${mirror}/pool/main/${path}`;
    const args = ["download-file", uri, `${target}.part`, `SHA256:${sha256}`];
    const { status, stderr } = spawnSync("/usr/lib/apt/apt-helper", ["-qq", ...args], { encoding: "utf8" });
    if (status === 0) {
      renameSync(`${target}.part`, target);
      return target;
    }
    failures.push(`  ${uri}: ${stderr?.trim()}`);
  }
  throw new Missing([`${basename(path)} could not be downloaded:`, ...failures].join("\n"));
}

function report(text) {
  process.stdout.write(`kubernetes: ${text}\n`);
}

if (process.argv[1] === import.meta.filename)
  runScript("kubernetes", () => {
    ensureKubernetes();
    return 0;
  });
