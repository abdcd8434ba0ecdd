/** Installs what `npm pack` makes into an empty project without a registry, and uses it there. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Missing, root, runIn } from "../machine.mjs";

const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** The types have to reject the last line of a program that is right otherwise. */
const PROGRAM = `import { features, run } from "runts";
const supported: object = features();
console.log("ociVersionMax" in supported, typeof run);
`;
const WRONG = `${PROGRAM}run({ bundle: 1 });\n`;

function install(project, tarball) {
  return spawnSync("npm", ["install", "--offline", "--no-audit", "--no-fund", "--loglevel=error", tarball], {
    cwd: project,
    encoding: "utf8",
  });
}

function compile(project, name, text) {
  writeFileSync(join(project, name), text);
  const types = ["--types", "node", "--typeRoots", join(root, "node_modules/@types")];
  const options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2023"];
  const lib = ["--lib", "es2023,esnext.disposable"];
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  return spawnSync(process.execPath, [tsc, ...options, ...lib, ...types, name], {
    cwd: project,
    encoding: "utf8",
  });
}

function expectThat(condition, what, { stdout = "", stderr = "" } = {}) {
  if (!condition) throw new Missing(`the npm package: ${what}\n${stdout}${stderr}`);
}

export function checkNpmPackage() {
  const folder = mkdtempSync(join(tmpdir(), "runts-npm-"));
  try {
    runIn(root, "npm", "pack", "--silent", "--pack-destination", folder);
    const tarball = join(folder, `runts-${version}.tgz`);
    const project = join(folder, "project");
    mkdirSync(project);
    writeFileSync(join(project, "package.json"), '{ "name": "project", "type": "module" }\n');

    // npm refuses it on other machines by this.
    const { cpu } = JSON.parse(runIn(folder, "tar", "-xzOf", tarball, "package/package.json"));
    expectThat(cpu.join() === process.arch, `it is for ${cpu.join()}`);
    const installed = install(project, tarball);
    expectThat(installed.status === 0, "npm can't install it without a registry", installed);

    const command = spawnSync(join(project, "node_modules/.bin/runts"), ["--version"], { encoding: "utf8" });
    expectThat(command.stdout?.startsWith(`runts version ${version}\n`), "the command fails", command);
    const right = compile(project, "right.ts", PROGRAM);
    expectThat(right.status === 0, "the library has no types", right);
    const wrong = compile(project, "wrong.ts", WRONG);
    expectThat(/wrong\.ts\(4,\d+\): error TS2322/.test(wrong.stdout), "the types accept anything", wrong);
    writeFileSync(join(project, "right.mjs"), PROGRAM.replace(": object", ""));
    const program = spawnSync(process.execPath, ["right.mjs"], { cwd: project, encoding: "utf8" });
    expectThat(/^true function\n$/.test(program.stdout), "the library can't be loaded", program);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
