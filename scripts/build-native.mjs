/**
 * `node scripts/build-native.mjs [--check]`: compiles the native programs and koffi's C++ library, and writes their images as
 * TypeScript.
 *
 * The images are committed, so that nobody needs a compiler to install or build runts. Only changes of the C sources need this script, gcc
 * and aarch64-linux-gnu-gcc. With --check it writes nothing. It then fails unless a rebuild gives the committed bytes or, with another
 * version of the compiler, passes the tests of the programs.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { root, vitest } from "./machine.mjs";

const programs = [
  { name: "stub", source: "bindings/stub/stub.c", output: "bindings/stub/stub-image.generated.ts" },
  {
    name: "launcher",
    source: "bindings/launcher/launcher.c",
    header: "bindings/launcher/thaw.h",
    output: "bindings/launcher/launcher-image.generated.ts",
    // An address that neither the engine, which is not a PIE, nor its mappings use: a warm start maps all of them into this process (thaw.h).
    flags: { x64: ["-Wl,-Ttext-segment=0x70000000"], arm64: [] },
  },
  {
    name: "cxxRuntime",
    source: "bindings/cxx-runtime/cxx-runtime.c",
    versions: "bindings/cxx-runtime/versions.map",
    output: "bindings/cxx-runtime/cxx-runtime-image.generated.ts",
  },
];

// Kernels for arm64 may have pages of 64 KiB, and can't map segments with a smaller alignment.
const targets = [
  {
    arch: "x64",
    compilers: ["x86_64-linux-gnu-gcc", "gcc"],
    machine: /^x86_64/,
    flags: ["-fcf-protection=none", "-Wl,-z,max-page-size=4096"],
  },
  {
    arch: "arm64",
    compilers: ["aarch64-linux-gnu-gcc", "gcc"],
    machine: /^aarch64/,
    // Outline atomics would call functions of libgcc, which nothing here is linked with.
    flags: ["-mbranch-protection=none", "-mno-outline-atomics", "-Wl,-z,max-page-size=65536"],
  },
];

const commonFlags = [
  "-std=gnu11 -Os -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-tree-loop-distribute-patterns",
  "-fno-strict-aliasing -fno-stack-protector -fno-asynchronous-unwind-tables -fno-unwind-tables -fomit-frame-pointer",
  "-nostdlib -s -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-z,norelro -Wl,-z,noexecstack",
];
const programFlags = ["-fno-pic -fno-pie -static -no-pie"];
/** The dynamic linker must find the library by the name of libstdc++, which it replaces. */
const libraryFlags = ["-fpic -shared -Wl,-soname,libstdc++.so.6 -Wl,--hash-style=gnu"];

function flagsOf({ versions }) {
  const lines = [...commonFlags, ...(versions ? libraryFlags : programFlags)];
  return [
    ...lines.flatMap((line) => line.split(" ")),
    ...(versions ? [`-Wl,--version-script=${versions}`] : []),
  ];
}

function fail(message) {
  process.stderr.write(`build-native: ${message}\n`);
  process.exit(1);
}

/** The first installed compiler for the target, with its version. */
function findCompiler({ compilers, machine }) {
  for (const command of compilers) {
    const { status, stdout } = spawnSync(command, ["-dumpmachine"], { encoding: "utf8" });
    if (status !== 0 || !machine.test(stdout)) continue;
    const [version] = execFileSync(command, ["--version"], { encoding: "utf8" }).split("\n");
    return { command, version: version.replace(/^\S+ /, "") };
  }
  return undefined;
}

function requireCompiler(target) {
  const compiler = findCompiler(target);
  if (!compiler) fail(`no compiler for ${target.arch}: install ${target.compilers.join(" or ")}`);
  return compiler;
}

/** Removes the section headers and everything that only they refer to: the kernel needs only the program headers (elf(5)). */
function withoutSections(image) {
  const headers = Number(image.readBigUInt64LE(32));
  const headerSize = image.readUInt16LE(54);
  let end = headers;
  for (let i = 0; i < image.readUInt16LE(56); i++) {
    const at = headers + i * headerSize;
    const segmentEnd = Number(image.readBigUInt64LE(at + 8) + image.readBigUInt64LE(at + 32));
    end = Math.max(end, at + headerSize, segmentEnd);
  }
  const bare = Buffer.from(image.subarray(0, end));
  bare.writeBigUInt64LE(0n, 40); // e_shoff
  bare.writeUInt16LE(0, 58); // e_shentsize
  bare.writeUInt16LE(0, 60); // e_shnum
  bare.writeUInt16LE(0, 62); // e_shstrndx
  return bare;
}

function compile(program, target, compiler, directory) {
  const output = join(directory, `${program.name}-${target.arch}`);
  const own = program.flags?.[target.arch] ?? [];
  const args = [...flagsOf(program), ...target.flags, ...own, "-o", output, program.source];
  const { status } = spawnSync(compiler.command, args, {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) fail(`${compiler.command} could not compile ${program.source}`);
  const image = withoutSections(readFileSync(output));
  writeFileSync(output, image, { mode: 0o755 });
  return image;
}

function sourceHash({ source, header, versions }) {
  const hash = createHash("sha256").update(readFileSync(join(root, source)));
  for (const file of [header, versions]) if (file) hash.update(readFileSync(join(root, file)));
  return hash.digest("hex");
}

function generatedText(program, images) {
  const lines = images.map(({ arch, image }) => `  ${arch}: "${image.toString("base64")}",\n`);
  const compilers = images.map(({ arch, compiler }) => `// ${arch}: gcc ${compiler.version}\n`);
  return `// Made by "node scripts/build-native.mjs" from ${basename(program.source)}. Do not edit.
// source: sha256 ${sourceHash(program)}
${compilers.join("")}
/** ELF files in base64. */
export const ${program.name}Images: { readonly x64: string; readonly arm64: string } = {
${lines.join("")}};
`;
}

function build(directory) {
  for (const program of programs) {
    const images = targets.map((target) => {
      const compiler = requireCompiler(target);
      return { arch: target.arch, compiler, image: compile(program, target, compiler, directory) };
    });
    writeFileSync(join(root, program.output), generatedText(program, images));
    const sizes = images.map(({ arch, image }) => `${arch} ${image.length} bytes`);
    process.stdout.write(`${program.name}: ${sizes.join(", ")}\n`);
  }
}

/** Rebuilds an image and compares it; returns whether another compiler made other bytes, which the tests then have to judge. */
function checkImage(program, target, directory) {
  const committed = readFileSync(join(root, program.output), "utf8");
  if (!committed.includes(`sha256 ${sourceHash(program)}`)) {
    fail(`${program.source} has changed since ${program.output} was made; run node scripts/build-native.mjs`);
  }
  const compiler = requireCompiler(target);
  const image = compile(program, target, compiler, directory);
  const same = committed.includes(`  ${target.arch}: "${image.toString("base64")}",`);
  if (!same && committed.includes(`// ${target.arch}: gcc ${compiler.version}\n`)) {
    fail(
      `${program.name} for ${target.arch}: the same compiler and source gave other bytes than the committed ones`,
    );
  }
  const outcome = same ? "same bytes" : `other bytes, with gcc ${compiler.version}`;
  process.stdout.write(`${program.name} ${target.arch}: ${outcome}\n`);
  return !same;
}

function check(directory) {
  const images = programs.flatMap((program) => targets.map((target) => ({ program, target })));
  const differing = images.filter(({ program, target }) => checkImage(program, target, directory));
  if (differing.length > 0) {
    const folders = ["bindings/stub/", "bindings/launcher/", "bindings/cxx-runtime/"];
    // The tests use the images of this directory instead of the committed ones.
    const env = { ...process.env, RUNTS_TEST_IMAGES: directory };
    const { status } = spawnSync(process.execPath, [vitest, "run", "--project", "unit", ...folders], {
      cwd: root,
      env,
      stdio: "inherit",
    });
    if (status !== 0) fail("a rebuilt image does not pass the tests of the programs");
  }
  process.stdout.write("native binaries: up to date\n");
}

const directory = mkdtempSync(join(tmpdir(), "runts-native-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
if (process.argv.includes("--check")) check(directory);
else build(directory);
