import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { TestCase, TestModule } from "vitest/node";
import SlowTests from "./slow-tests.ts";

let reporter: SlowTests;
let lines: string[];

beforeEach(() => {
  vi.useFakeTimers();
  lines = [];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => lines.push(String(text)) > 0);
  reporter = new SlowTests();
  reporter.onTestRunStart();
});

afterEach(() => {
  reporter.onTestRunEnd();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function moduleOf(file: string): TestModule {
  return { moduleId: join(process.cwd(), file) } as TestModule;
}

function testOf(module: TestModule, fullName: string): TestCase {
  return { module, fullName } as TestCase;
}

test("a test that runs for minutes is named each minute", () => {
  const module = moduleOf("spec-tests/a.test.ts");
  reporter.onTestModuleStart(module);
  reporter.onTestCaseReady(testOf(module, "the slow one"));
  vi.advanceTimersByTime(125_000);
  expect(lines).toEqual([
    "running for 60 s: spec-tests/a.test.ts > the slow one\n",
    "running for 120 s: spec-tests/a.test.ts > the slow one\n",
  ]);
});

test("a hook that lasts is named by the test before it, or as the first", () => {
  const [first, second] = [moduleOf("a.test.ts"), moduleOf("b.test.ts")];
  reporter.onTestModuleStart(first);
  reporter.onTestModuleStart(second);
  reporter.onTestCaseResult(testOf(second, "its last test"));
  vi.advanceTimersByTime(60_000);
  expect(lines).toEqual([
    "running for 60 s: a.test.ts > hooks before the tests\n",
    "running for 60 s: b.test.ts > hooks after its last test\n",
  ]);
});

test("tests that run side by side are each named, and their file is not", () => {
  const module = moduleOf("a.test.ts");
  const [quick, slow] = [testOf(module, "quick"), testOf(module, "slow")];
  reporter.onTestModuleStart(module);
  reporter.onTestCaseReady(slow);
  reporter.onTestCaseReady(quick);
  reporter.onTestCaseResult(quick);
  vi.advanceTimersByTime(60_000);
  expect(lines).toEqual(["running for 60 s: a.test.ts > slow\n"]);
});

test("quick tests and files that have ended are not named", () => {
  const [quick, ended] = [moduleOf("a.test.ts"), moduleOf("b.test.ts")];
  reporter.onTestModuleStart(ended);
  reporter.onTestModuleEnd(ended);
  reporter.onTestModuleStart(quick);
  for (let i = 0; i < 10; i += 1) {
    vi.advanceTimersByTime(20_000);
    const test = testOf(quick, `test ${i}`);
    reporter.onTestCaseReady(test);
    reporter.onTestCaseResult(test);
  }
  expect(lines).toEqual([]);
});
