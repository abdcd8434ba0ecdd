/**
 * `npm run test:package [-- NAME...]`: makes the packages and installs them in root file systems of Debian's releases, on machines of their
 * own (spec-tests/harness/package/machine.sh). Without NAME, it also checks that another build of them is equal, and that what `npm pack` makes
 * can be used elsewhere. Beside the sources at hand, it packages two other versions, for upgrades and downgrades.
 * The last line of the output is `N passed, N failed, N skipped`.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureDebianRoots } from "./debian-roots.mjs";
import {
  busybox,
  checkMachine,
  ensureModules,
  ensurePackages,
  Missing,
  root,
  runIn,
  runScript,
} from "./machine.mjs";
import { copySources } from "./package/reproducible.mjs";
import { countJudged, failureSummary, runVitest } from "./run-vitest.mjs";

const packages = [
  busybox,
  { name: "iproute2", program: "ip", needed: true, why: "the machines' networks" },
  { name: "hostname", program: "hostname", needed: true, why: "the machines' names" },
  { name: "git", program: "git", needed: true, why: "has the sources of older versions" },
];

const RELEASES = ["trixie", "forky"];
const timeoutMs = 60 * 60_000;

/** The last commit of 0.1.0. */
const OLDEST = "3693f86";
const STATE = "src/container/record/saved-state.ts";

/** Replaces a text that has to be in the file. */
function replace(folder, file, text, replacement) {
  const path = join(folder, file);
  const content = readFileSync(path, "utf8");
  if (!content.includes(text)) throw new Error(`${file} has no ${text}`);
  writeFileSync(path, content.replace(text, replacement));
}

function setVersion(folder, version) {
  const { version: present } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  replace(folder, "package.json", `"version": "${present}"`, `"version": "${version}"`);
  if (!readFileSync(join(folder, "src/version.ts"), "utf8").includes(`"${version}"`))
    replace(folder, "src/version.ts", `"${present}"`, `"${version}"`);
}

/**
 * Gives the sources those of 0.1.0, from the repository's history. Where that does not go so far back, as in a shallow clone, the present
 * ones stand in for them, and write records as 0.1.0 did.
 */
function becomeOlder(folder) {
  const { status } = spawnSync("git", ["-C", root, "cat-file", "-e", `${OLDEST}^{commit}`], {
    stdio: "ignore",
  });
  if (status === 0) {
    process.stdout.write(`0.1.0 is made of the sources of commit ${OLDEST}\n`);
    for (const name of ["src", "bindings"]) rmSync(join(folder, name), { recursive: true });
    runIn(folder, "sh", "-c", `git -C '${root}' archive ${OLDEST} src bindings | tar -x`);
  } else {
    process.stdout.write(
      `commit ${OLDEST} is not in the history: present sources stand in for those of 0.1.0\n`,
    );
    replace(
      folder,
      STATE,
      "JSON.stringify(record)",
      "JSON.stringify({ ...record, formatVersion: undefined, writtenBy: undefined })",
    );
  }
  setVersion(folder, "0.1.0");
}

/** Makes of the sources those of a later version, whose records this one can't read. */
function becomeNewer(folder) {
  setVersion(folder, "1.1.0");
  replace(folder, STATE, "const NEWEST_FORMAT = 2;", "const NEWEST_FORMAT = 3;");
  replace(folder, STATE, "(state.devices?.length ?? 0) > 0 ? NEWEST_FORMAT : 1", "NEWEST_FORMAT");
}

/** Makes the packages of a changed copy of the sources in `output`. */
function packageChanged(change, output) {
  const folder = mkdtempSync(join(tmpdir(), "runts-sources-"));
  try {
    copySources(folder);
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    change(folder);
    // These are only for the tests, and most of the time goes into their compression.
    makePackages(folder, ["--arch", process.arch, "--no-lint", "--fast"]);
    cpSync(join(folder, "packages"), output, { recursive: true });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function makePackages(folder, args) {
  // The copy has no history.
  const SOURCE_DATE_EPOCH = runIn(root, "git", "log", "-1", "--format=%ct").trim();
  const { status } = spawnSync(process.execPath, ["scripts/package.mjs", ...args], {
    cwd: folder,
    stdio: "inherit",
    env: { ...process.env, SOURCE_DATE_EPOCH },
  });
  if (status !== 0) throw new Missing("the packages can't be made (see above).");
}

function testPackages() {
  checkMachine("npm run test:package");
  ensurePackages(packages);
  ensureModules();
  const directory = mkdtempSync(join(tmpdir(), "runts-package-"));
  try {
    process.stdout.write("=== packages of this version\n");
    const files = process.argv.slice(2);
    makePackages(root, files.length === 0 ? ["--check-reproducible"] : []);
    cpSync(join(root, "packages"), join(directory, "current"), { recursive: true });
    if (files.length === 0) makePackages(root, ["--check-npm"]);
    process.stdout.write("=== packages of 0.1.0, and of a later version\n");
    packageChanged(becomeOlder, join(directory, "older"));
    packageChanged(becomeNewer, join(directory, "newer"));
    process.stdout.write("=== root file systems\n");
    const env = { PACKAGE_TEST_PACKAGES: directory, PACKAGE_TEST_ROOTS: ensureDebianRoots(RELEASES) };
    process.stdout.write("=== tests\n");
    const report = join(directory, "report.json");
    const run = runVitest({ project: "package", files, env, report, timeoutMs });
    const { passed, failed, skipped } = countJudged(run);
    if (run.report !== undefined) process.stdout.write(`${failureSummary(run.report).join("\n")}\n`);
    process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
    return failed === 0 ? 0 : 1;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

runScript("test:package", testPackages);
