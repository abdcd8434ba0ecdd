import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cxxRuntimeImages } from "./cxx-runtime/cxx-runtime-image.generated.ts";
import { launcherImages } from "./launcher/launcher-image.generated.ts";
import { stubImages } from "./stub/stub-image.generated.ts";

export type Architecture = "x64" | "arm64";

export const qemu = "/usr/bin/qemu-aarch64-static";

/** The reason why programs for arm64 can't run here, or false. */
export const arm64SkipReason: string | false = (() => {
  if (process.arch === "arm64") return "it is this machine's own architecture";
  return existsSync(qemu) ? false : `needs ${qemu} (package qemu-user-static)`;
})();

const NATIVE = {
  stub: { file: "stub", images: stubImages },
  launcher: { file: "runts", images: launcherImages },
  cxxRuntime: { file: "koffi-cxx.so", images: cxxRuntimeImages },
} as const;

/**
 * Writes a committed image into the directory, and returns its path. If RUNTS_TEST_IMAGES names a directory of rebuilt images, it takes those
 * instead: scripts/build-native.mjs --check.
 */
export function writeImage(directory: string, name: keyof typeof NATIVE, arch: Architecture): string {
  const { file, images } = NATIVE[name];
  const path = join(directory, file);
  const rebuilt = process.env.RUNTS_TEST_IMAGES;
  if (rebuilt !== undefined) copyFileSync(join(rebuilt, `${name}-${arch}`), path);
  else writeFileSync(path, Buffer.from(images[arch], "base64"), { mode: 0o755 });
  return path;
}

/** Compiles a program with sanitizers, which need a libc; undefined if the compiler can't. */
export function compileChecked(directory: string, name: string, source: string): string | undefined {
  const [from, to] = [join(directory, `${name}.c`), join(directory, name)];
  writeFileSync(from, source);
  const flags = "-g -std=gnu11 -fno-strict-aliasing -Wl,--allow-multiple-definition".split(" ");
  // Both processors allow unaligned access.
  const checks = ["-fsanitize=address,undefined", "-fno-sanitize=alignment", "-fno-sanitize-recover=all"];
  const { status } = spawnSync("gcc", [...flags, ...checks, "-o", to, from], { timeout: 60_000 });
  return status === 0 ? to : undefined;
}
