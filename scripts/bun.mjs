/** Finds Bun, which compiles the program into one executable, and gives its flags. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Missing } from "./machine.mjs";

const modules = join(import.meta.dirname, "../node_modules");

/** The first Bun of the installed packages that runs, or undefined. bun.exe does not run if npm ran no install scripts. */
export function findBun() {
  const name = `bun-linux-${process.arch === "arm64" ? "aarch64" : "x64"}`;
  const candidates = [
    join(modules, "bun/bin/bun.exe"),
    join(modules, "@oven", name, "bin/bun"),
    join(modules, "@oven", `${name}-musl`, "bin/bun"),
  ];
  return candidates.find((file) => spawnSync(file, ["--version"]).status === 0);
}

export function requireBun() {
  const bun = findBun();
  if (bun === undefined) throw new Missing('Bun is missing; run "npm install"');
  return bun;
}

/** Bun must load no configuration: runts may run in a bundle's directory, whose author must not configure the engine. */
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
