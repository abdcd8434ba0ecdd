/**
 * Makes the files of the product. Rolldown bundles the sources into a few files, and Bun compiles those into one executable. The result
 * depends on the sources, the npm packages and the processor that it is for, not on the folder, the time or the machine: packages have to be
 * reproducible.
 */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { rolldown } from "rolldown";
import { compileFlags } from "../bun.mjs";
import { Missing, root } from "../machine.mjs";
import { neededVersions, undefinedSymbols } from "./elf.mjs";

/** The files that belong together in the folder of the executable, with their modes. The last one is not in every build. */
const programModes = { runts: 0o755, "runts-engine": 0o755, "koffi.node": 0o644, "koffi-cxx.so": 0o644 };

/**
 * The symbols and versions of the C++ library that koffi.node needs and `runtime` does not have. What `runtime` offers are NUL-terminated
 * words in its string tables.
 */
function missingFromRuntime(koffi, runtime) {
  const offered = new Set(runtime.toString("latin1").split("\0"));
  // __cxa_atexit and __cxa_finalize belong to the C library.
  const cxx = /^(_Z|__cxa_(?!atexit$|finalize$)|__gxx_|__once_proxy$|GLIBCXX_|CXXABI_)/;
  const versions = neededVersions(koffi).map(({ version }) => version);
  return [...undefinedSymbols(koffi), ...versions].filter((name) => cxx.test(name) && !offered.has(name));
}

/** Writes koffi-cxx.so, unless a newer koffi needs more than it has; then the engine loads the host's libstdc++ instead. */
function writeCxxRuntime(koffi, arch, folder) {
  const runtime = readImage("bindings/cxx-runtime/cxx-runtime-image.generated.ts", arch);
  const missing = missingFromRuntime(koffi, runtime);
  if (missing.length > 0) {
    process.stdout.write(
      `build: koffi needs more of C++ than bindings/cxx-runtime has: ${missing.join(" ")}\n`,
    );
    return false;
  }
  writeFileSync(join(folder, "koffi-cxx.so"), runtime);
  return true;
}

/** Reads an image from its generated file, as text, since Node 20 does not load TypeScript. */
function readImage(file, arch) {
  const text = readFileSync(join(root, file), "utf8");
  const base64 = new RegExp(`^ {2}${arch}: "([^"]+)",$`, "m").exec(text)?.[1];
  if (!base64) throw new Missing(`${file} has no image for ${arch}`);
  return Buffer.from(base64, "base64");
}

/** The launcher and, after what the kernel reads of an ELF file, the version: launchers are equal only if their versions are. */
function launcher(arch) {
  const image = readImage("bindings/launcher/launcher-image.generated.ts", arch);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return Buffer.concat([image, Buffer.from(`runts ${version}\n`)]);
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
 * files. Returns the paths of all modules that are in it.
 */
async function bundle(source, target, output, plugins = []) {
  const build = await rolldown({
    input: { main: join(root, source) },
    plugins,
    platform: "node",
    external: [/^node:/],
    transform: { target },
    preserveEntrySignatures: "allow-extension",
  });
  const { output: chunks } = await build.write({ format: "esm", ...output });
  await build.close();
  return chunks.flatMap(({ moduleIds = [] }) => moduleIds);
}

/**
 * Runs Bun's compiler with a bare environment, in a directory without configuration files. Without --splitting it would join the files that
 * Rolldown keeps apart; then `--version` would load the whole program and take 1.6 times as long. `base` is the Bun of another processor,
 * whose executable takes in the program.
 */
function compile(bun, folder, arch, base) {
  const files = [join(folder, "js/main.js"), "--outfile", join(folder, "runts-engine")];
  const other = base === undefined ? [] : [`--target=bun-linux-${arch}`, `--compile-executable-path=${base}`];
  const args = ["build", ...files, ...compileFlags, "--splitting", ...other];
  const env = { PATH: process.env.PATH, HOME: folder, DO_NOT_TRACK: "1", NODE_ENV: "production" };
  const { status, stdout, stderr, error } = spawnSync(bun, args, { cwd: folder, env, encoding: "utf8" });
  if (status !== 0)
    throw new Missing(`Bun could not build the engine:\n${stdout}${stderr}${error?.message ?? ""}`);
}

/**
 * Makes the program in an empty folder: the launcher, the engine and its libraries. Returns their names with their modes, and the modules in
 * the engine. The engine refuses a koffi.node that other users can write, so the modes must not depend on the umask of the build.
 */
export async function buildProgram(folder, { arch, bun, base, koffi, withFaults = false }) {
  copyFileSync(koffi, join(folder, "koffi.node"));
  const hasCxxRuntime = writeCxxRuntime(readFileSync(koffi), arch, folder);
  chmodSync(folder, 0o755);
  const source = withFaults ? "scripts/faults/main.ts" : "src/main.ts";
  const plugins = withFaults ? [faultPlugin] : [];
  const modules = await bundle(source, "esnext", { dir: join(folder, "js") }, plugins);
  compile(bun, folder, arch, base);
  writeFileSync(join(folder, "runts"), launcher(arch));
  const files = { ...programModes };
  if (!hasCxxRuntime) delete files["koffi-cxx.so"];
  for (const [name, mode] of Object.entries(files)) chmodSync(join(folder, name), mode);
  return { files, modules };
}

/** Makes the types of the library, while Rolldown works on another processor. */
function declareTypes(folder) {
  const args = [
    join(root, "node_modules/typescript/bin/tsc"),
    "-p",
    "scripts/library-types.tsconfig.json",
    "--outDir",
    join(folder, "types"),
  ];
  const compiler = spawn(process.execPath, args, { cwd: root });
  let output = "";
  compiler.stdout.on("data", (text) => {
    output += text;
  });
  return new Promise((resolve, reject) => {
    compiler.on("error", reject);
    compiler.on("close", (status) =>
      status === 0 ? resolve() : reject(new Missing(`types of the library:\n${output}`)),
    );
  });
}

/** Makes what Node loads: the program as one file, and the library with its types. Returns the names of the files with their modes. */
export async function buildForNode(folder) {
  const bundles = { "runts.mjs": "src/main.ts", "library.mjs": "src/library/index.ts" };
  await Promise.all([
    declareTypes(folder),
    ...Object.entries(bundles).map(([name, source]) =>
      bundle(source, "node20.19", { file: join(folder, name), codeSplitting: false }),
    ),
  ]);
  const files = Object.fromEntries(Object.keys(bundles).map((name) => [name, 0o644]));
  for (const [name, mode] of Object.entries(files)) chmodSync(join(folder, name), mode);
  return files;
}
