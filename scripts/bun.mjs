/** Bun, which compiles the program into one executable: where npm has put it, and how it is called. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const modules = join(import.meta.dirname, "../node_modules");

/** The first Bun of the installed packages that runs, or undefined. bun.exe does not where npm ran no install scripts. */
export function findBun() {
  const name = `bun-linux-${process.arch === "arm64" ? "aarch64" : "x64"}`;
  const candidates = [
    join(modules, "bun/bin/bun.exe"),
    join(modules, "@oven", name, "bin/bun"),
    join(modules, "@oven", `${name}-musl`, "bin/bun"),
  ];
  return candidates.find((file) => spawnSync(file, ["--version"]).status === 0);
}

/** A bundle's directory is the working directory of runts, and its author must not configure the engine. */
export const compileFlags = [
  "--compile",
  "--format=esm",
  "--minify",
  "--bytecode",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-tsconfig",
  "--no-compile-autoload-package-json",
];
