/**
 * `npm test`: installs missing packages, then runs every check and test of the repository. The last line of the output is `N passed, N failed,
 * N skipped`, the total of all stages; a check such as the linter counts as one test.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureGuestKernel, guestPackages } from "./guest-kernel.mjs";
import {
  checkMachine,
  ensureModules,
  ensurePackages,
  Missing,
  reachable,
  root,
  runtime,
  specPackages,
  unifiedCgroup,
} from "./machine.mjs";
import { brokenFiles, failureSummary, runVitest, unsteadySummary } from "./run-vitest.mjs";

/** The compiler for the other architecture. */
const crossCompiler =
  process.arch === "arm64"
    ? { name: "gcc-x86-64-linux-gnu", program: "x86_64-linux-gnu-gcc" }
    : { name: "gcc-aarch64-linux-gnu", program: "aarch64-linux-gnu-gcc" };

const packages = [
  ...specPackages,
  { name: "g++", program: "g++", why: "compiles the test of koffi's C++ functions" },
  { ...crossCompiler, why: "rebuilds the committed native binaries of the other architecture" },
  ...(process.arch === "x64" ? guestPackages : []),
  { name: "qemu-user-static", program: "qemu-aarch64-static", why: "runs the arm64 binaries" },
];

/** Cheap stages come first, so that a mistake shows early. */
const stages = [
  { name: "lint", command: bin("biome", "check", ".") },
  { name: "types", command: bin("tsc", "--noEmit") },
  { name: "build", command: [process.execPath, "scripts/build.mjs"] },
  { name: "hello", command: [process.execPath, "scripts/hello.mjs"], after: "build" },
  { name: "unit tests", project: "unit" },
  { name: "native binaries", command: [process.execPath, "scripts/build-native.mjs", "--check"] },
  { name: "spec tests", project: "spec", after: "build" },
  { name: "faults", project: "faults", after: "build" },
  // With runts only; npm run test:guests also runs the peers.
  { name: "guests", project: "guests", after: "build", env: { GUEST_PEERS: "0" } },
];

/** Three times what the slowest stage takes. A stage that hangs is killed, so that the results of the others are not lost. */
const stageTimeoutMs = 20 * 60_000;

/**
 * Thousands of tests depend on the timing of processes, on machines of any load. So a failed test is tried once more. The summary still
 * reports it with its failure, so that somebody finds the cause.
 */
const retries = 1;

function bin(name, ...args) {
  return [join(root, "node_modules/.bin", name), ...args];
}

/** Runs a command that passes or fails as a whole. */
function runCheck({ command: [file, ...args] }) {
  const { status } = spawnSync(file, args, { cwd: root, stdio: "inherit", timeout: stageTimeoutMs });
  return status === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 };
}

/** Runs a vitest project; returns its counts, and a text for each failure. */
function runTests({ project, env }, directory) {
  const report = join(directory, `${project}.json`);
  const run = runVitest({ project, env, retries, report, timeoutMs: stageTimeoutMs });
  const counts = count(run.report);
  const failures = run.report === undefined ? [] : failureSummary(run.report);
  const unsteady = run.report === undefined ? [] : unsteadySummary(run.report);
  if (run.status === 0) return { ...counts, failures, unsteady };
  // Errors outside of tests are not counted above, but make the stage fail.
  if (failures.length === 0) failures.push(`FAILED ${project}: outside of the tests, see above`);
  return { ...counts, failed: Math.max(counts.failed, 1), failures, unsteady };
}

function count(report) {
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0 };
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + brokenFiles(report).length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

function runStage(stage, directory, done) {
  process.stdout.write(`\n=== ${stage.name}\n`);
  if (stage.after && done.get(stage.after)?.failed !== 0) {
    process.stdout.write(`not run, because of the failed stage "${stage.after}"\n`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  return stage.project ? runTests(stage, directory) : runCheck(stage);
}

/** Whether commands of the spec tests start warm or cold, and why: asks a command that is started as they are. */
function startOfCommands() {
  const { PATH, RUNTS_COLD } = process.env;
  const env = { PATH, ...(RUNTS_COLD !== undefined && { RUNTS_COLD }) };
  const command = [unifiedCgroup, runtime, "warm", "--check"];
  const { status, stdout, stderr } = spawnSync(reachable, command, { encoding: "utf8", env });
  if (status === 0) return "warm";
  const reason = `${stdout}${stderr}`.trim().replace(/^cold: /, "") || `exit code ${status}`;
  const isOdd = existsSync(join(root, "dist/runts-warm")) && !RUNTS_COLD;
  return `cold, ${isOdd ? "ALTHOUGH the build has written an image" : "as expected"}: ${reason}`;
}

function total(results) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const result of results) for (const key of Object.keys(sum)) sum[key] += result[key];
  return sum;
}

function text({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** Runs all stages, prints the summary, and returns the total counts. */
function runStages() {
  const directory = mkdtempSync(join(tmpdir(), "runts-test-"));
  const done = new Map();
  const lines = [];
  try {
    for (const stage of stages) {
      const begun = Date.now();
      const start = stage.project === "spec" ? `; runts started ${startOfCommands()}` : "";
      const result = runStage(stage, directory, done);
      done.set(stage.name, result);
      const seconds = `${((Date.now() - begun) / 1000).toFixed(1)} s`;
      lines.push(`${stage.name.padEnd(15)} ${seconds.padStart(8)}   ${text(result)}${start}`);
      process.stdout.write(`--- ${lines.at(-1)}\n`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const results = [...done.values()];
  const unsteady = results.flatMap((result) => result.unsteady ?? []);
  const failures = results.flatMap((result) => result.failures ?? []);
  process.stdout.write(`\n${[...unsteady, ...failures, ...lines].join("\n")}\n`);
  return total(done.values());
}

function test() {
  let sum = { passed: 0, failed: 1, skipped: 0 };
  try {
    checkMachine("npm test");
    process.stdout.write("=== set-up\n");
    ensurePackages(packages);
    ensureModules();
    ensureGuestKernel();
    sum = runStages();
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    process.stderr.write(`\ntest: ${error.message}\n`);
  }
  process.stdout.write(`${text(sum)}\n`);
  return sum.failed === 0 ? 0 : 1;
}

process.exitCode = test();
