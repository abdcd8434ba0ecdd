/**
 * Checks and sets up a fresh machine before the commands of the README do their work. Only Node's own modules are
 * imported, since nothing is installed yet.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

export const root = join(import.meta.dirname, "..");
export const runtime = join(root, "dist/runts");
/** Runs a command where /sys/fs/cgroup is a cgroup2: in new namespaces, if the machine has another hierarchy there. */
export const unifiedCgroup = join(root, "spec-tests/harness/unified-cgroup.sh");
/** Runs a command where every user can reach the repository. */
export const reachable = join(root, "spec-tests/harness/reachable.sh");
/** Takes a root file system and a command, and runs the command in there. */
export const inRoot = join(root, "spec-tests/harness/in-root.sh");
/** Takes a folder and a command, and runs the command where programs find the libraries of the folder. */
export const withLibraries = join(root, "spec-tests/harness/with-libraries.sh");
export const vitest = join(root, "node_modules/vitest/vitest.mjs");

/** Debian packages that several commands need, as `ensurePackages` takes them. */
export const busybox = {
  name: "busybox-static",
  program: "busybox",
  isStatic: true,
  needed: true,
  why: "the containers' programs",
};
export const libseccomp = {
  name: "libseccomp2",
  library: "libseccomp.so.2",
  needed: true,
  why: "compiles system call filters",
};
export const peerRuntimes = ["runc", "crun"].map((name) => ({
  name,
  program: name,
  why: "is compared with runts",
}));

/** Packages of the spec tests; the unit tests use some of them. */
export const specPackages = [
  busybox,
  { name: "python3", program: "python3", needed: true, why: "receives consoles and reaps containers" },
  libseccomp,
  { name: "procps", program: "ps", needed: true, why: "runts ps lists processes with it" },
  ...peerRuntimes,
  { name: "podman", program: "podman", why: "runs containers with runts" },
  { name: "catatonit", program: "catatonit", why: "podman run --init" },
  { name: "iproute2", program: "ip", why: "makes network interfaces for containers" },
  { name: "nftables", program: "nft", why: "podman's networks" },
  { name: "criu", program: "criu", why: "saves and restores containers" },
  { name: "uidmap", program: "newuidmap", why: "user namespaces with many IDs" },
  {
    name: "systemd",
    file: "/usr/lib/systemd/systemd",
    why: "makes cgroups for runts, in its own namespaces",
  },
  { name: "dbus", program: "dbus-daemon", why: "carries the requests to systemd" },
  { name: "groff-base", program: "groff", why: "formats the manual pages" },
  { name: "fish", program: "fish", why: "runs runts' completion script" },
  { name: "zsh", program: "zsh", why: "runs runts' completion script" },
  {
    name: "python3-opentelemetry-proto",
    file: "/usr/lib/python3/dist-packages/opentelemetry/proto/collector/trace/v1/trace_service_pb2.py",
    why: "parses the OpenTelemetry format of runts' profiles",
  },
  { name: "chromium", program: "chromium", why: "shows the pages of runts report" },
  { name: "strace", program: "strace", why: "checks the output of runts explain" },
  { name: "gcc", program: "gcc", why: "rebuilds the committed native binaries" },
  { name: "libc6-dev", file: "/usr/include/stdio.h", why: "the tests compile C programs" },
];

/** The machine lacks something that can't be installed from here. Reported as a plain message, without a stack. */
export class Missing extends Error {}

/** Runs a script's body, which returns the exit code. An error of the class Missing ends it with a message and exit code 1. */
export async function runScript(name, body) {
  try {
    process.exitCode = await body();
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    process.stderr.write(`\n${name}: ${error.message}\n`);
    process.exitCode = 1;
  }
}

/** Checks what can't be installed from here: Linux, a supported processor, Node's version, and root. */
export function checkMachine(command) {
  if (process.platform !== "linux")
    throw new Missing(`runts runs containers on Linux only; this is ${process.platform}.`);
  if (!["x64", "arm64"].includes(process.arch))
    throw new Missing(`runts supports x86-64 and arm64; this is ${process.arch}.`);
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    throw new Missing(`Node 20.19 or later is needed; this is ${process.version}.`);
  if (process.geteuid?.() !== 0) throw new Missing(`making containers needs root: try "sudo ${command}".`);
}

/** The C library that Node is linked with, by npm's name. npm has installed the packages of others for the same one. */
export function libcName() {
  return process.report.getReport().header.glibcVersionRuntime === undefined ? "musl" : "glibc";
}

/** The path of a program in the usual folders of a root file system, or undefined. */
export function which(program, system = "/") {
  const folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
  return folders.map((folder) => join(folder, program)).find((path) => isExecutable(join(system, path)));
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function hasLibrary(soname) {
  const { stdout } = spawnSync(which("ldconfig") ?? "ldconfig", ["-p"], { encoding: "utf8" });
  return stdout?.includes(`${soname} `) ?? false;
}

/** Debian's package busybox has a program of the same name that needs a C library, which the containers don't have. */
function isStaticProgram(path) {
  return !readFileSync(path).includes("/ld-linux");
}

function isThere({ program, library, file, isStatic }) {
  if (program) {
    const path = which(program);
    return path !== undefined && (!isStatic || isStaticProgram(path));
  }
  return library ? hasLibrary(library) : existsSync(file);
}

/**
 * Installs the missing ones of a list of Debian packages: `{ name, program | library | file, isStatic, needed, why }`. Throws Missing if a
 * needed one can't be installed. Without the others, tests are skipped.
 */
export function ensurePackages(packages) {
  const missing = packages.filter((entry) => !isThere(entry));
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name);
  if (which("apt-get") === undefined) {
    process.stdout.write(`not installed, and there is no apt-get here: ${names.join(" ")}\n`);
  } else {
    process.stdout.write(`installing by apt-get: ${names.join(" ")}\n`);
    aptInstall(names);
  }
  const left = missing.filter((entry) => !isThere(entry));
  for (const { name, needed, why } of left)
    if (!needed) process.stdout.write(`without ${name}, tests are skipped: ${why}\n`);
  const fatal = left.filter(({ needed }) => needed);
  if (fatal.length === 0) return;
  const reasons = fatal.map(({ name, why }) => `  ${name}: ${why}`).join("\n");
  throw new Missing(
    `these Debian packages are needed and could not be installed:\n${reasons}\n` +
      "Install them (or what your distribution calls them), then run this again.",
  );
}

/** Installs all packages at once; if that fails, one by one, so that one package can't prevent the others. */
function aptInstall(names) {
  // A fresh machine has no package lists, and old lists name files that the mirror no longer has.
  if (!apt(["update"]))
    process.stdout.write("apt-get update failed; trying with the package lists at hand\n");
  if (install(names)) return;
  for (const name of names) if (!install([name])) process.stdout.write(`apt-get could not install ${name}\n`);
}

function install(names) {
  return apt(["install", "-y", "--no-install-recommends", ...names]);
}

function apt(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const options = [
    "-qq",
    "-o",
    "Dpkg::Use-Pty=0",
    "-o",
    "Acquire::Retries=3",
    "-o",
    "DPkg::Lock::Timeout=120",
  ];
  const { status, stdout, stderr } = spawnSync("apt-get", [...options, ...args], { env, encoding: "utf8" });
  if (status !== 0) process.stdout.write(`${stdout}${stderr}`.replace(/^(?=.)/gm, "  apt-get: "));
  return status === 0;
}

/** Downloads Debian packages into a folder and unpacks them there, without installing them. `options` are apt-get's. */
export function unpackPackages(directory, names, options = []) {
  runIn(directory, "apt-get", "-o", "APT::Sandbox::User=root", ...options, "download", "-qq", ...names);
  for (const file of readdirSync(directory).filter((entry) => entry.endsWith(".deb"))) {
    runIn(directory, "dpkg-deb", "--extract", file, ".");
    rmSync(join(directory, file));
  }
}

/** Runs a command and returns its output; throws Missing if it fails. */
export function runIn(directory, command, ...args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: directory, encoding: "utf8" });
  if (status !== 0)
    throw new Missing(`${command} ${args.join(" ")} failed: ${error?.message ?? stderr.trim()}`);
  return stdout;
}

/** Installs the npm packages of package-lock.json, unless all are installed already. */
export function ensureModules() {
  if (hasModules()) return;
  if (which("npm") === undefined)
    throw new Missing("npm is needed to install the JavaScript packages: apt-get install npm");
  process.stdout.write("installing the npm packages of package-lock.json\n");
  // No package needs its install script, so none is run. "npm ci" would refuse a lock file without the packages for other systems, and not
  // every registry has those.
  const args = ["install", "--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status } = spawnSync("npm", args, { cwd: root, stdio: "inherit", env: npmEnvironment() });
  if (status !== 0)
    throw new Missing(`"npm install" failed in ${root} (see above); it needs access to an npm registry.`);
}

/** Whether all packages are installed, by npm's own list: npm writes that last, so an interrupted installation has none. */
function hasModules() {
  const list = join(root, "node_modules/.package-lock.json");
  if (!existsSync(list)) return false;
  const installed = readPackages(list);
  // Optional packages are only those of the machine's own processor and C library.
  const wanted = Object.entries(readPackages(join(root, "package-lock.json")));
  return wanted.every(
    ([path, { version, optional }]) =>
      path === "" || (installed[path] === undefined && optional) || installed[path]?.version === version,
  );
}

function readPackages(file) {
  return JSON.parse(readFileSync(file, "utf8")).packages;
}

/** The environment without NODE_ENV: with "production" npm would leave out the compiler and the tests. */
function npmEnvironment() {
  const { NODE_ENV: _, ...env } = process.env;
  return env;
}

/** Builds dist/ unless it is newer than all of its sources. Returns whether it built. */
export function ensureBuild() {
  const scripts = ["scripts/build", "scripts/build.mjs", "scripts/bun.mjs"];
  const sources = ["src", "bindings", ...scripts, "package-lock.json"];
  const newest = Math.max(...sources.map((path) => newestBelow(join(root, path))));
  const files = ["runts", "runts-engine", "koffi.node"].map((name) => join(root, "dist", name));
  if (Math.min(...files.map(modified)) > newest) return false;
  const { status } = spawnSync(process.execPath, ["scripts/build.mjs"], { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Missing("the build failed (see above).");
  return true;
}

function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function newestBelow(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  const below = readdirSync(path).map((name) => newestBelow(join(path, name)));
  return Math.max(0, ...below);
}

/** Whether /sys/fs/cgroup is the unified hierarchy, which is not so on hybrid and cgroup v1 machines. */
export function hasUnifiedCgroup() {
  const { stdout } = spawnSync("stat", ["-f", "-c", "%T", "/sys/fs/cgroup"], { encoding: "utf8" });
  return stdout?.trim() === "cgroup2fs";
}
