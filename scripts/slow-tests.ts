import { relative } from "node:path";
import type { Reporter, TestCase, TestModule } from "vitest/node";

const PERIOD_MS = 60_000;
const PATIENCE_MS = 30_000;

interface Activity {
  readonly what: string;
  readonly sinceMs: number;
}

/**
 * A reporter of vitest that names, every minute, each test and hook that has been running for half a minute or more: the log of a run
 * that hangs ends with the place.
 */
export default class SlowTests implements Reporter {
  readonly #tests = new Map<TestCase, Activity>();
  /** What a file does while none of its tests runs. */
  readonly #betweenTests = new Map<TestModule, Activity>();
  #timer: NodeJS.Timeout | undefined;

  onTestRunStart(): void {
    this.#timer = setInterval(() => this.#tell(), PERIOD_MS).unref();
  }

  onTestModuleStart(module: TestModule): void {
    this.#betweenTests.set(module, begin("hooks before the tests"));
  }

  onTestCaseReady(test: TestCase): void {
    this.#tests.set(test, begin(test.fullName));
  }

  onTestCaseResult(test: TestCase): void {
    this.#tests.delete(test);
    this.#betweenTests.set(test.module, begin(`hooks after ${test.fullName}`));
  }

  onTestModuleEnd(module: TestModule): void {
    this.#betweenTests.delete(module);
  }

  onTestRunEnd(): void {
    clearInterval(this.#timer);
  }

  #tell(): void {
    const busy = new Set([...this.#tests.keys()].map(({ module }) => module));
    for (const [{ module }, activity] of this.#tests) tell(module, activity);
    for (const [module, activity] of this.#betweenTests) if (!busy.has(module)) tell(module, activity);
  }
}

function begin(what: string): Activity {
  return { what, sinceMs: Date.now() };
}

function tell({ moduleId }: TestModule, { what, sinceMs }: Activity): void {
  const runningMs = Date.now() - sinceMs;
  if (runningMs < PATIENCE_MS) return;
  const seconds = Math.round(runningMs / 1000);
  process.stdout.write(`running for ${seconds} s: ${relative(process.cwd(), moduleId)} > ${what}\n`);
}
