/** Runs vitest and reads its report. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { reachable, root, unifiedCgroup, vitest } from "./machine.mjs";

/**
 * Runs one vitest project where /sys/fs/cgroup is a cgroup2 and every user can reach the repository. `files` are parts of names of test
 * files, `options` further options of vitest, `below` is a command that runs its arguments, `node` the program that runs vitest below it,
 * and `retries` is the number of times that a failed test is repeated. After `timeoutMs` vitest is killed, so that the results of other
 * runs are not lost. Returns vitest's exit code and its report, which is undefined if it ended without one.
 */
export function runVitest({
  project,
  files = [],
  options = [],
  env = {},
  below = [],
  node = process.execPath,
  retries = 0,
  report,
  timeoutMs,
}) {
  const reporters = [
    "--reporter=default",
    `--reporter=${join(root, "scripts/slow-tests.ts")}`,
    "--reporter=json",
    `--outputFile.json=${report}`,
  ];
  const args = [
    unifiedCgroup,
    ...below,
    node,
    vitest,
    "run",
    "--project",
    project,
    `--retry=${retries}`,
    ...reporters,
    ...options,
    ...files,
  ];
  const spawnOptions = {
    cwd: root,
    stdio: "inherit",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    env: { ...process.env, ...env },
  };
  const { status } = spawnSync(reachable, args, spawnOptions);
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

/** Test files that failed without a failed test: they could not be loaded, or what they prepare for their tests failed. */
export function brokenFiles(report) {
  return report.testResults.filter(
    ({ status, assertionResults }) =>
      status === "failed" && !assertionResults.some((result) => result.status === "failed"),
  );
}

/** Counts the tests of a run. A test that the peer is known to fail counts as known, not as passed. */
export function countJudged({ status, report }) {
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0, known: [], all: 1 };
  const tests = report.testResults.flatMap(({ assertionResults }) => assertionResults);
  const known = tests.filter((test) => test.status === "passed" && test.title.includes(" deviates: "));
  const passed = tests.filter((test) => test.status === "passed").length - known.length;
  const failedTests = tests.filter((test) => test.status === "failed").length;
  const failed = failedTests + brokenFiles(report).length;
  // Errors outside of tests are not counted above, but make the run fail.
  const errors = status !== 0 && failed === 0 ? 1 : 0;
  return {
    passed,
    failed: failed + errors,
    skipped: tests.length - passed - known.length - failedTests,
    known: known.map(({ title }) => title),
    all: tests.length,
  };
}

/** Counts of `countJudged` in words. `knownWord` says what the known ones are. */
export function countsText({ passed, all, failed, skipped, known }, knownWord = "known to fail") {
  const rest = [
    [failed, "failed"],
    [skipped, "skipped"],
    [known.length, knownWord],
  ].filter(([number]) => number > 0);
  return `${passed}/${all}${rest.length > 0 ? ` (${rest.map((pair) => pair.join(" ")).join(", ")})` : ""}`;
}

/** File, title and first error of each failed test, for the end of the log, which remains if the log is truncated. */
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

/** Like failureSummary, for each test that failed first and passed on the retry. */
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

/** The path of a test file in the repository; the tests may have run from a copy that every user can reach. */
function inRepository(file) {
  const path = relative(root, file);
  return path.startsWith("..") ? path.replace(/^.*?(?=(?:bindings|scripts|spec-tests|src)\/)/, "") : path;
}

function head(message) {
  const lines = stripVTControlCharacters(message).split("\n").slice(0, 12);
  return lines.map((line) => `    ${line.slice(0, 400)}`).join("\n");
}
