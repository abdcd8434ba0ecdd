/** Bundles and programs for the subjects. */
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileFlags, requireBun } from "../bun.mjs";
import { runtime, which } from "../machine.mjs";
import { succeed } from "./processes.mjs";

/** The default config of `runts spec`, but for the terminal, with a busybox as its root file system. */
export function makeBundle(directory, args) {
  mkdirSync(join(directory, "rootfs/bin"), { recursive: true });
  for (const name of ["dev", "proc", "sys"]) mkdirSync(join(directory, "rootfs", name));
  copyFileSync(which("busybox"), join(directory, "rootfs/bin/busybox"));
  for (const name of ["echo", "sleep", "true"]) symlinkSync("busybox", join(directory, "rootfs/bin", name));
  succeed({ argv: [runtime, "spec", "--bundle", directory] });
  const file = join(directory, "config.json");
  const config = JSON.parse(readFileSync(file, "utf8"));
  config.process.terminal = false;
  config.process.args = args;
  writeFileSync(file, JSON.stringify(config));
  return directory;
}

/** An executable made like dist/runts-engine from a program that does nothing: its run is the start of the engine alone. */
export function makeEmptyProgram(directory) {
  const source = join(directory, "empty.ts");
  const output = join(directory, "empty");
  writeFileSync(source, "export {};\n");
  succeed({ argv: [requireBun(), "build", source, "--outfile", output, ...compileFlags] });
  return output;
}
