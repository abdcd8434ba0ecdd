/**
 * Checks and sets up a fresh machine before the commands of the README do their work. Only Node's own modules are
 * imported, since nothing is installed yet.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

export const root = join(import.meta.dirname, "..");
export const runtime = join(root, "dist/runts");
/** Runs a command where /sys/fs/cgroup is a cgroup2, in namespaces of its own if the machine has another hierarchy there. */
export const unifiedCgroup = join(root, "spec-tests/harness/unified-cgroup.sh");
/** Runs a command where every user can reach the repository. */
export const reachable = join(root, "spec-tests/harness/reachable.sh");
/** Takes a folder and a command: runs the command where programs find the folder's libraries. */
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
  why: "it is compared with runts",
}));

/** Packages of the spec tests; the unit tests use some of them. */
export const specPackages = [
  busybox,
  { name: "python3", program: "python3", needed: true, why: "receives consoles and reaps containers" },
  libseccomp,
  { name: "procps", program: "ps", needed: true, why: "runts ps lists processes with it" },
  ...peerRuntimes,
  { name: "podman", program: "podman", why: "it runs containers through runts" },
  { name: "catatonit", program: "catatonit", why: "podman run --init" },
  { name: "iproute2", program: "ip", why: "makes network interfaces for containers" },
  { name: "nftables", program: "nft", why: "podman's networks" },
  { name: "criu", program: "criu", why: "saves and restores containers" },
  { name: "uidmap", program: "newuidmap", why: "user namespaces with many ids" },
  {
    name: "systemd",
    file: "/usr/lib/systemd/systemd",
    why: "it makes cgroups for runts, in namespaces of its own",
  },
  { name: "dbus", program: "dbus-daemon", why: "systemd is asked by it" },
  { name: "groff-base", program: "groff", why: "sets the manual pages" },
  { name: "fish", program: "fish", why: "completes by runts' script" },
  { name: "zsh", program: "zsh", why: "completes by runts' script" },
  { name: "strace", program: "strace", why: "shows whether runts explain has told the truth" },
  { name: "gcc", program: "gcc", why: "rebuilds the committed native images" },
  { name: "libc6-dev", file: "/usr/include/stdio.h", why: "C programs that tests compile" },
];

/** The command needs something that it can't get by itself: said in plain words, without a stack. */
export class Missing extends Error {}

/** Runs a script's body; what is missing ends it with a message and exit code 1. */
export function runScript(name, body) {
  try {
    process.exitCode = body();
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    process.stderr.write(`\n${name}: ${error.message}\n`);
    process.exitCode = 1;
  }
}

/** Linux on a supported processor, Node, and root: none of these can be installed from here. */
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

/** The path of a program, looked up as a shell does, or undefined. */
export function which(program) {
  const folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
  return folders.map((folder) => join(folder, program)).find(isExecutable);
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

/** Debian's busybox package installs a program of the same name that can't run where there is no C library. */
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
 * Installs what is missing of a list of Debian packages: `{ name, program | library | file, isStatic, needed, why }`. One that is
 * needed and can't be had is an error; without the others, the tests that would use them are skipped.
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

/** All at once; if that fails, one by one, so that a single package that can't be had does not keep back the others. */
function aptInstall(names) {
  // A fresh machine has no package lists; old ones name files that the mirror no longer has.
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

/** Downloads Debian packages into a folder and unpacks them there: they are not installed. `options` are apt-get's. */
export function unpackPackages(directory, names, options = []) {
  runIn(directory, "apt-get", "-o", "APT::Sandbox::User=root", ...options, "download", "-qq", ...names);
  for (const file of readdirSync(directory).filter((entry) => entry.endsWith(".deb"))) {
    runIn(directory, "dpkg-deb", "--extract", file, ".");
    rmSync(join(directory, file));
  }
}

/** Runs a command that has to succeed, and returns its output. */
export function runIn(directory, command, ...args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: directory, encoding: "utf8" });
  if (status !== 0)
    throw new Missing(`${command} ${args.join(" ")} failed: ${error?.message ?? stderr.trim()}`);
  return stdout;
}

/** Installs the npm packages unless what package-lock.json asks for is installed already. */
export function ensureModules() {
  if (hasModules()) return;
  if (which("npm") === undefined)
    throw new Missing("npm is needed to install the JavaScript packages: apt-get install npm");
  process.stdout.write("installing the npm packages of package-lock.json\n");
  // No install script is needed, so none is trusted. Not "npm ci": it refuses a list without the packages for other systems,
  // which not every registry has.
  const args = ["install", "--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status } = spawnSync("npm", args, { cwd: root, stdio: "inherit", env: npmEnvironment() });
  if (status !== 0)
    throw new Missing(`"npm install" failed in ${root} (see above); it needs access to an npm registry.`);
}

/** npm writes its own list last, so that an installation that was cut short is not taken for a whole one. */
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

/** NODE_ENV=production would leave out the compiler and the tests. */
function npmEnvironment() {
  const { NODE_ENV: _, ...env } = process.env;
  return env;
}

/** Builds dist/ unless it is newer than all that it is made of. Returns whether it built. */
export function ensureBuild() {
  const scripts = ["build", "bun"].map((name) => `scripts/${name}.mjs`);
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

/** Whether /sys/fs/cgroup is the unified hierarchy, as everywhere but on hybrid and cgroup v1 machines. */
export function hasUnifiedCgroup() {
  const { stdout } = spawnSync("stat", ["-f", "-c", "%T", "/sys/fs/cgroup"], { encoding: "utf8" });
  return stdout?.trim() === "cgroup2fs";
}
