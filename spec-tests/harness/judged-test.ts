import { basename } from "node:path";
import { type TestContext, test } from "vitest";
import { type Deviations, deviationOf, noteDeviations } from "./peers.ts";

export interface TestOptions extends Deviations {
  readonly timeoutMs?: number;
}

export interface JudgedTest extends TestOptions {
  readonly title: string;
  /** The title as vitest shows it, where that has more. */
  readonly name?: string;
  /** The executable of the runtime that is judged. */
  readonly path: string;
}

/**
 * A test of vitest. Under a peer that is known not to meet it (peers.ts) it has to fail: if it passes, the deviation is stale. Of a
 * failure that comes only now and then nothing follows.
 */
export function judgedTest(
  { title, name = title, path, timeoutMs, ...deviations }: JudgedTest,
  run: (context: TestContext) => Promise<void>,
): void {
  noteDeviations(title, deviations);
  const known = deviationOf(path, deviations);
  if (known === undefined) {
    test(name, run, timeoutMs);
    return;
  }
  const judged = `${name} [${basename(path)} deviates: ${known.reason}]`;
  if (known.sometimes === true)
    test(judged, (context) => run(context).catch(() => context.skip(known.reason)), timeoutMs);
  else test.fails(judged, run, timeoutMs);
}
