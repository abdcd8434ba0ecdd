/**
 * `npm run build`: builds all of dist/. It only needs the installed npm packages, no compiler and no network.
 *
 *   dist/runts          the launcher, which users execute
 *   dist/runts-engine   the program, compiled by Bun into one executable
 *   dist/runts-warm     memory image of the started program, for this machine and boot (src/freeze)
 *   dist/koffi.node     koffi's native part, which both programs load from their own directory
 *   dist/koffi-cxx.so   the part of a C++ library that koffi needs, if bindings/cxx-runtime has all of it
 *   dist/runts.mjs      the program as one file for Node
 *   dist/library.mjs    the library that `import "runts"` loads, with its types in dist/types
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { requireBun } from "./bun.mjs";
import { libcName, Missing, root, runScript } from "./machine.mjs";

/** `--faults`: the test build, in which operations can be made to fail (scripts/faults). Users never get it. */
const withFaults = process.argv.includes("--faults");
const dist = join(root, withFaults ? "dist-faults" : "dist");
/** New files are made here, then renamed over the old ones, some of which may be running. */
const partial = join(dist, ".partial");

/** koffi's native file for the C library that Bun, and so the engine, is linked with. */
function findKoffi(arch) {
  const libc = libcName() === "musl" ? "musl" : "linux";
  const folder = join(root, "node_modules/@koromix", `koffi-linux-${arch}`);
  const file = join(folder, `${libc}_${arch}`, "koffi.node");
  if (!statSync(file, { throwIfNoEntry: false }))
    throw new Missing(`koffi is missing; run "npm install" (${file})`);
  return file;
}

async function makeDist() {
  const { arch } = process;
  if (process.platform !== "linux" || !["x64", "arm64"].includes(arch))
    throw new Missing("runts is for Linux on x86-64 and arm64");
  const bun = requireBun();
  const koffi = findKoffi(arch);
  // Imported here, since it needs the npm packages.
  const { buildProgram, buildForNode } = await import("./build/product.mjs");

  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const { files: program } = await buildProgram(partial, { arch, bun, koffi, withFaults });
  const files = { ...program, ...(!withFaults && (await buildForNode(partial))) };
  chmodSync(dist, 0o755);
  if (!("koffi-cxx.so" in files)) rmSync(join(dist, "koffi-cxx.so"), { force: true });
  // The launcher comes last, since it is what users execute.
  const { runts, ...others } = files;
  const sizes = Object.keys({ ...others, runts }).map((file) => {
    renameSync(join(partial, file), join(dist, file));
    return `${file} ${(statSync(join(dist, file)).size / 1024).toFixed(1)} KiB`;
  });
  if (!withFaults) {
    rmSync(join(dist, "types"), { recursive: true, force: true });
    renameSync(join(partial, "types"), join(dist, "types"));
  }
  rmSync(partial, { recursive: true });
  process.stdout.write(`${basename(dist)}: ${sizes.join(", ")}\n`);
}

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

async function build() {
  await makeDist();
  warm();
  return 0;
}

runScript("build", build);
