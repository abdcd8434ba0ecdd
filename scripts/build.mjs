/**
 * Builds dist/, whole: `npm run build`. Needs what npm installed and nothing else: no compiler and no network. Rolldown joins the
 * sources into few files, which Bun compiles.
 *
 *   dist/runts          the launcher: what users execute
 *   dist/runts-engine   the program, compiled by Bun into one executable
 *   dist/koffi.node     koffi's native part, which both programs load from beside themselves
 *   dist/runts.mjs      the program as one file for Node
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
/** Files are made here and then take the place of the old ones, of which some may be running. */
const partial = join(dist, ".partial");
const modules = join(root, "node_modules");

function fail(message) {
  process.stderr.write(`build: ${message}\n`);
  process.exit(1);
}

/** The first Bun of the installed packages that runs. bun.exe does not where npm ran no install scripts. */
function findBun(arch) {
  const package_ = `bun-linux-${arch === "arm64" ? "aarch64" : "x64"}`;
  const candidates = [
    join(modules, "bun/bin/bun.exe"),
    join(modules, "@oven", package_, "bin/bun"),
    join(modules, "@oven", `${package_}-musl`, "bin/bun"),
  ];
  const found = candidates.find((file) => spawnSync(file, ["--version"]).status === 0);
  if (!found) fail(`Bun is missing; run "npm install" (looked for ${candidates.join(", ")})`);
  return found;
}

/** koffi's native file for the C library that Bun, and so the engine, is linked to. */
function findKoffi(arch) {
  const libc = process.report.getReport().header.glibcVersionRuntime === undefined ? "musl" : "linux";
  const file = join(modules, `@koromix/koffi-linux-${arch}`, `${libc}_${arch}`, "koffi.node");
  if (!statSync(file, { throwIfNoEntry: false })) fail(`koffi is missing; run "npm install" (${file})`);
  return file;
}

/** Modules of the commands whose time counts most: what engines call for each container. */
const hotEntries = [
  ...["create", "start", "run", "exec", "kill", "delete", "state"].map((name) => `src/cli/${name}.ts`),
  ...["create", "start", "run", "run-exec", "kill", "delete", "state"].map(
    (name) => `src/container/${name}.ts`,
  ),
];

/**
 * Puts all that these commands import into one file: each further file that a command has to load costs it some 0.1 ms. What
 * they load on demand (`import()`) stays in files of its own, and so does what `--version` needs.
 */
function hotChunk() {
  let hot;
  return (id, context) => {
    if (hot === undefined) {
      const first = importedBy(["src/main.ts"], context);
      hot = importedBy(hotEntries, context);
      for (const module of first) hot.delete(module);
    }
    return hot.has(id) ? "hot" : null;
  };
}

/** The modules and all that they import, but not on demand. */
function importedBy(files, context) {
  const found = new Set();
  const waiting = files.map((file) => join(root, file));
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    waiting.push(...(context.getModuleInfo(next)?.importedIds ?? []));
  }
  return found;
}

/** Joins the sources into JavaScript for a target: `output` says where, and how many files there are. */
async function bundle(target, output) {
  const build = await rolldown({
    input: { main: join(root, "src/main.ts") },
    platform: "node",
    external: [/^node:/],
    transform: { target },
    // Commands share modules that each of them loads on demand: as it is meant.
    checks: { ineffectiveDynamicImport: false },
  });
  await build.write({ format: "esm", ...output });
  await build.close();
}

/** Runs Bun's compiler in a directory without configuration that it would obey, and with a bare environment. */
function compile(bun, outfile, flags) {
  const args = ["build", join(partial, "js/main.js"), "--outfile", join(partial, outfile), ...flags];
  const env = { PATH: process.env.PATH, HOME: partial, DO_NOT_TRACK: "1", NODE_ENV: "production" };
  const { status, stdout, stderr, error } = spawnSync(bun, args, { cwd: partial, env, encoding: "utf8" });
  if (status !== 0) fail(`Bun could not build ${outfile}:\n${stdout}${stderr}${error?.message ?? ""}`);
}

/** Takes an image out of its generated file; Node 20 does not load TypeScript. */
function readImage(file, arch) {
  const text = readFileSync(join(root, file), "utf8");
  const base64 = new RegExp(`^ {2}${arch}: "([^"]+)",$`, "m").exec(text)?.[1];
  if (!base64) fail(`${file} has no image for ${arch}`);
  return Buffer.from(base64, "base64");
}

/**
 * Runs one container and lets the engine write down which functions it uses, in order: with their code side by side in the
 * executable a container takes some 8% less time. Without the rights to run containers the order stays the compiler's.
 */
function recordOrder() {
  if (process.getuid() !== 0) return undefined;
  const engine = join(partial, "runts-engine");
  const bundleDirectory = join(partial, "bundle");
  const rootfs = join(bundleDirectory, "rootfs");
  mkdirSync(rootfs, { recursive: true });
  // Any static program will do: the stub ends at once when nobody gives it a channel.
  writeFileSync(join(rootfs, "true"), readImage("bindings/stub/stub-image.generated.ts", arch), {
    mode: 0o755,
  });
  const order = join(partial, "order");
  const env = { PATH: process.env.PATH, TZ: "UTC", BUN_JSC_useJIT: "0", BUN_BYTECODE_ORDER_OUT: order };
  const options = { cwd: bundleDirectory, env, encoding: "utf8", timeout: 60_000 };
  spawnSync(engine, ["spec"], { ...options, env: { PATH: process.env.PATH } });
  const config = JSON.parse(readFileSync(join(bundleDirectory, "config.json"), "utf8"));
  Object.assign(config.process, { args: ["/true"], terminal: false });
  config.root.readonly = false;
  writeFileSync(join(bundleDirectory, "config.json"), JSON.stringify(config));
  const unified = join(root, "spec-tests/harness/unified-cgroup.sh");
  const { stderr } = spawnSync(unified, [engine, "--root", join(partial, "state"), "run", "order"], options);
  if ((statSync(order, { throwIfNoEntry: false })?.size ?? 0) > 0) return order;
  process.stdout.write(
    `build: no container could be run to order the code (${(stderr ?? "").trim()}); going on without\n`,
  );
  return undefined;
}

const { arch } = process;
if (process.platform !== "linux" || !["x64", "arm64"].includes(arch))
  fail("runts is for Linux on x86-64 and arm64");
const bun = findBun(arch);
const koffi = findKoffi(arch);

rmSync(partial, { recursive: true, force: true });
mkdirSync(partial, { recursive: true });

// A bundle's directory is the working directory of runts, and its author must not configure the engine.
const engineFlags = [
  "--compile",
  "--format=esm",
  "--minify",
  "--bytecode",
  // Without it Bun would join again what Rolldown keeps apart.
  "--splitting",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-tsconfig",
  "--no-compile-autoload-package-json",
];
copyFileSync(koffi, join(partial, "koffi.node"));
chmodSync(partial, 0o755);
chmodSync(join(partial, "koffi.node"), 0o644);
const groups = [{ name: hotChunk(), debugName: "hot" }];
await bundle("esnext", { dir: join(partial, "js"), codeSplitting: { groups } });
compile(bun, "runts-engine", engineFlags);
const order = recordOrder();
if (order !== undefined) compile(bun, "runts-engine", [...engineFlags, `--bytecode-order=${order}`]);
await bundle("node20.19", { file: join(partial, "runts.mjs"), codeSplitting: false });
writeFileSync(join(partial, "runts"), readImage("bindings/launcher/launcher-image.generated.ts", arch));

// koffi.node is not loaded from where others may write, so the modes must not depend on the umask of the build.
chmodSync(dist, 0o755);
const files = { "koffi.node": 0o644, "runts.mjs": 0o644, "runts-engine": 0o755, runts: 0o755 };
const sizes = Object.entries(files).map(([file, mode]) => {
  chmodSync(join(partial, file), mode);
  renameSync(join(partial, file), join(dist, file));
  return `${file} ${(statSync(join(dist, file)).size / 1024).toFixed(1)} KiB`;
});
rmSync(partial, { recursive: true });
process.stdout.write(`dist: ${sizes.join(", ")}\n`);
