/** Runs vitest and reads its report. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { reachable, root, unifiedCgroup, vitest } from "./machine.mjs";

/**
 * Runs one project where /sys/fs/cgroup is a cgroup2 and every user can reach the repository; `files` are parts of names of test
 * files, `options` more of vitest's, `below` is a command that runs its arguments, `retries` is how often a test that fails is tried
 * again. The report is undefined when vitest ended without one. A run that hangs must not take the others' results with it.
 */
export function runVitest({
  project,
  files = [],
  options = [],
  env = {},
  below = [],
  retries = 0,
  report,
  timeoutMs,
}) {
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const args = [
    unifiedCgroup,
    ...below,
    process.execPath,
    vitest,
    "run",
    "--project",
    project,
    `--retry=${retries}`,
    ...reporters,
    ...options,
    ...files,
  ];
  const surroundings = {
    cwd: root,
    stdio: "inherit",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    env: { ...process.env, ...env },
  };
  const { status } = spawnSync(reachable, args, surroundings);
  return { status, report: readReport(report) };
}

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    process.stdout.write("vitest ended without a report\n");
    return undefined;
  }
}

/** Files that could not even be loaded: no test of them is in a count. */
export function brokenFiles(report) {
  return report.testResults.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
  );
}

/** Counts the tests of a run. For a peer, a test that it is known to fail counts as known, not as passed. */
export function countJudged({ status, report }) {
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0, known: [], all: 1 };
  const tests = report.testResults.flatMap(({ assertionResults }) => assertionResults);
  const known = tests.filter((test) => test.status === "passed" && test.title.includes(" deviates: "));
  const passed = tests.filter((test) => test.status === "passed").length - known.length;
  const failedTests = tests.filter((test) => test.status === "failed").length;
  const failed = failedTests + brokenFiles(report).length;
  // Errors outside of tests are in no count: they must not pass for success.
  const errors = status !== 0 && failed === 0 ? 1 : 0;
  return {
    passed,
    failed: failed + errors,
    skipped: tests.length - passed - known.length - failedTests,
    known: known.map(({ title }) => title),
    all: tests.length,
  };
}

/** Each failed test by file and title with the head of its first error: a log that is cut still tells them by its end. */
export function failureSummary(report) {
  return report.testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = inRepository(name);
    const failed = assertionResults.filter((result) => result.status === "failed");
    if (status === "failed" && failed.length === 0) return [`FAILED ${file}\n${head(message)}`];
    return failed.map(
      ({ fullName, failureMessages }) => `FAILED ${file} > ${fullName}\n${head(failureMessages[0] ?? "")}`,
    );
  });
}

/** Like that, for each test that failed, and passed when it was tried again. */
export function unsteadySummary(report) {
  return report.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status, failureMessages }) => status === "passed" && failureMessages.length > 0)
      .map(
        ({ fullName, failureMessages }) =>
          `UNSTEADY, passed when tried again: ${inRepository(name)} > ${fullName}\n${head(failureMessages[0])}`,
      ),
  );
}

/** The path of a test file in the repository, which may have been run from where every user can reach it. */
function inRepository(file) {
  const path = relative(root, file);
  return path.startsWith("..") ? path.replace(/^.*?(?=(?:bindings|scripts|spec-tests|src)\/)/, "") : path;
}

function head(message) {
  const lines = stripVTControlCharacters(message).split("\n").slice(0, 12);
  return lines.map((line) => `    ${line.slice(0, 400)}`).join("\n");
}
