/**
 * `npm run build`: builds all of dist/. It only needs the installed npm packages, no compiler and no network. Rolldown bundles the sources
 * into a few files, and Bun compiles those.
 *
 *   dist/runts          the launcher, which users execute
 *   dist/runts-engine   the program, compiled by Bun into one executable
 *   dist/runts-warm     memory image of the started program, for this machine and boot (src/freeze)
 *   dist/koffi.node     koffi's native part, which both programs load from their own directory
 *   dist/koffi-cxx.so   the part of a C++ library that koffi needs, if bindings/cxx-runtime has all of it
 *   dist/runts.mjs      the program as one file for Node
 *   dist/library.mjs    the library that `import "runts"` loads, with its types in dist/types
 */
import { spawn, spawnSync } from "node:child_process";
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
import { basename, dirname, join } from "node:path";
import { rolldown } from "rolldown";
import { compileFlags, findBun } from "./bun.mjs";

const root = join(import.meta.dirname, "..");
/** `--faults`: the test build, in which operations can be made to fail (scripts/faults). Users never get it. */
const withFaults = process.argv.includes("--faults");
const dist = join(root, withFaults ? "dist-faults" : "dist");
/** New files are made here, then renamed over the old ones, some of which may be running. */
const partial = join(dist, ".partial");
const modules = join(root, "node_modules");

function fail(message) {
  process.stderr.write(`build: ${message}\n`);
  process.exit(1);
}

/** koffi's native file for the C library that Bun, and so the engine, is linked with. */
function findKoffi(arch) {
  const libc = process.report.getReport().header.glibcVersionRuntime === undefined ? "musl" : "linux";
  const file = join(modules, `@koromix/koffi-linux-${arch}`, `${libc}_${arch}`, "koffi.node");
  if (!statSync(file, { throwIfNoEntry: false })) fail(`koffi is missing; run "npm install" (${file})`);
  return file;
}

/**
 * The symbols and versions of the C++ library that koffi.node needs and `runtime` does not have. Both are NUL-terminated words in the string
 * tables of ELF files, so comparing words is enough.
 */
function missingFromRuntime(koffiFile, runtime) {
  const words = (file) => new Set(file.toString("latin1").split("\0"));
  const offered = words(runtime);
  // __cxa_atexit and __cxa_finalize belong to the C library.
  const cxx = /^(_Z|__cxa_(?!atexit$|finalize$)|__gxx_|__once_proxy$|GLIBCXX_|CXXABI_)/;
  const { undefinedNames, versions } = dynamicNames(readFileSync(koffiFile));
  return [...undefinedNames, ...versions].filter((name) => cxx.test(name) && !offered.has(name));
}

/** The undefined symbols of an ELF file, and the versions that it needs, from its dynamic symbol table. elf(5) */
function dynamicNames(file) {
  const sections = [];
  const at = Number(file.readBigUInt64LE(40));
  for (let i = 0; i < file.readUInt16LE(60); i++) {
    const header = at + i * file.readUInt16LE(58);
    const type = file.readUInt32LE(header + 4);
    const offset = Number(file.readBigUInt64LE(header + 24));
    const size = Number(file.readBigUInt64LE(header + 32));
    sections.push({ type, offset, size, link: file.readUInt32LE(header + 40) });
  }
  const SHT_DYNSYM = 11;
  const symbols = sections.find(({ type }) => type === SHT_DYNSYM);
  const strings = sections[symbols.link];
  const text = (offset) =>
    file.toString("latin1", strings.offset + offset, file.indexOf(0, strings.offset + offset));
  const undefinedNames = [];
  for (let symbol = symbols.offset; symbol < symbols.offset + symbols.size; symbol += 24) {
    if (file.readUInt16LE(symbol + 6) === 0) undefinedNames.push(text(file.readUInt32LE(symbol)));
  }
  const all = file.toString("latin1", strings.offset, strings.offset + strings.size).split("\0");
  return { undefinedNames, versions: all.filter((word) => /^(GLIBCXX|CXXABI)_/.test(word)) };
}

/** Writes koffi-cxx.so, unless a newer koffi needs more than it has; then the engine loads the host's libstdc++ instead. */
function writeCxxRuntime(koffiFile) {
  const runtime = readImage("bindings/cxx-runtime/cxx-runtime-image.generated.ts", arch);
  const missing = missingFromRuntime(koffiFile, runtime);
  if (missing.length > 0) {
    process.stdout.write(
      `build: koffi needs more of C++ than bindings/cxx-runtime has: ${missing.join(" ")}\n`,
    );
    return false;
  }
  writeFileSync(join(partial, "koffi-cxx.so"), runtime);
  return true;
}

/** Replacements in the test build: for the two modules that all operations pass through, and for the one where a warm start begins. */
const faultModules = new Map(
  ["bindings/ffi/koffi.ts", "bindings/stub/encode.ts", "src/freeze/await-thaw.ts"].map((file) => [
    join(root, file),
    join(root, "scripts/faults", basename(file)),
  ]),
);

/** Resolves these modules to their replacements, except for the replacements themselves, which import the real ones. */
const faultPlugin = {
  name: "faults",
  resolveId(specifier, importer = "") {
    if (!specifier.startsWith(".") || importer.startsWith(join(root, "scripts/faults"))) return null;
    return faultModules.get(join(dirname(importer), specifier)) ?? null;
  },
};

/**
 * Bundles the sources into JavaScript for a target. `output` is one file, or a directory in which dynamically imported code gets its own
 * files.
 */
async function bundle(source, target, output) {
  const build = await rolldown({
    input: { main: join(root, source) },
    plugins: withFaults ? [faultPlugin] : [],
    platform: "node",
    external: [/^node:/],
    transform: { target },
    preserveEntrySignatures: "allow-extension",
  });
  await build.write({ format: "esm", ...output });
  await build.close();
}

/**
 * Runs Bun's compiler with a bare environment, in a directory without configuration files. Without --splitting it would join the files that
 * Rolldown keeps apart; then `--version` would load the whole program and take 1.6 times as long.
 */
function compile() {
  const files = [join(partial, "js/main.js"), "--outfile", join(partial, "runts-engine")];
  const args = ["build", ...files, ...compileFlags, "--splitting"];
  const env = { PATH: process.env.PATH, HOME: partial, DO_NOT_TRACK: "1", NODE_ENV: "production" };
  const { status, stdout, stderr, error } = spawnSync(bun, args, { cwd: partial, env, encoding: "utf8" });
  if (status !== 0) fail(`Bun could not build the engine:\n${stdout}${stderr}${error?.message ?? ""}`);
}

/** Makes the library's type declarations, while Bun works on another processor. */
function declareTypes() {
  const args = [join(modules, "typescript/bin/tsc"), "-p", "scripts/library-types.tsconfig.json"];
  const compiler = spawn(process.execPath, [...args, "--outDir", join(partial, "types")], { cwd: root });
  let output = "";
  compiler.stdout.on("data", (text) => {
    output += text;
  });
  return new Promise((resolve) => {
    compiler.on("close", (status) => (status === 0 ? resolve() : fail(`types of the library:\n${output}`)));
  });
}

/** Reads an image from its generated file, as text, since Node 20 does not load TypeScript. */
function readImage(file, arch) {
  const text = readFileSync(join(root, file), "utf8");
  const base64 = new RegExp(`^ {2}${arch}: "([^"]+)",$`, "m").exec(text)?.[1];
  if (!base64) fail(`${file} has no image for ${arch}`);
  return Buffer.from(base64, "base64");
}

/** The launcher and, after what the kernel reads of an ELF file, the version: launchers are equal only if their versions are. */
function launcher() {
  const image = readImage("bindings/launcher/launcher-image.generated.ts", arch);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return Buffer.concat([image, Buffer.from(`runts ${version}\n`)]);
}

/** The parts for users that a test build doesn't need: the program for Node, and the library. */
async function finishProduct() {
  const types = declareTypes();
  const bundles = { "runts.mjs": "src/main.ts", "library.mjs": "src/library/index.ts" };
  for (const [name, source] of Object.entries(bundles))
    await bundle(source, "node20.19", { file: join(partial, name), codeSplitting: false });
  await types;
}

const { arch } = process;
if (process.platform !== "linux" || !["x64", "arm64"].includes(arch))
  fail("runts is for Linux on x86-64 and arm64");
const bun = findBun();
if (!bun) fail('Bun is missing; run "npm install"');
const koffi = findKoffi(arch);

rmSync(partial, { recursive: true, force: true });
mkdirSync(partial, { recursive: true });

copyFileSync(koffi, join(partial, "koffi.node"));
const hasCxxRuntime = writeCxxRuntime(koffi);
chmodSync(partial, 0o755);
for (const name of ["koffi.node", ...(hasCxxRuntime ? ["koffi-cxx.so"] : [])])
  chmodSync(join(partial, name), 0o644);
const engine = withFaults ? "scripts/faults/main.ts" : "src/main.ts";
await bundle(engine, "esnext", { dir: join(partial, "js") });
compile();
if (!withFaults) await finishProduct();
writeFileSync(join(partial, "runts"), launcher());

// The engine refuses a koffi.node that other users can write, so the modes must not depend on the umask of the build.
chmodSync(dist, 0o755);
const libraries = { "koffi.node": 0o644, ...(hasCxxRuntime && { "koffi-cxx.so": 0o644 }) };
const files = {
  ...libraries,
  ...(!withFaults && { "runts.mjs": 0o644, "library.mjs": 0o644 }),
  "runts-engine": 0o755,
  runts: 0o755,
};
if (!hasCxxRuntime) rmSync(join(dist, "koffi-cxx.so"), { force: true });
const sizes = Object.entries(files).map(([file, mode]) => {
  chmodSync(join(partial, file), mode);
  renameSync(join(partial, file), join(dist, file));
  return `${file} ${(statSync(join(dist, file)).size / 1024).toFixed(1)} KiB`;
});
if (!withFaults) {
  rmSync(join(dist, "types"), { recursive: true, force: true });
  renameSync(join(partial, "types"), join(dist, "types"));
}
rmSync(partial, { recursive: true });
process.stdout.write(`${basename(dist)}: ${sizes.join(", ")}\n`);

/** Writes the image for warm starts. This is the last step, since an image is bound to the built files. If it fails, all starts are cold. */
function warm() {
  const { status, stderr, error } = spawnSync(join(dist, "runts"), ["warm"], { encoding: "utf8", env: {} });
  const reason = `${stderr ?? ""}${error?.message ?? ""}`.trim() || `exit code ${status}`;
  process.stdout.write(
    status === 0
      ? "build: runts starts warm on this machine until its next boot\n"
      : `build: no warm start: ${reason}\n`,
  );
}
warm();
