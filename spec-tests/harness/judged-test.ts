import { basename } from "node:path";
import { type TestContext, test } from "vitest";
import { type Deviations, deviationOf, noteDeviations } from "./peers.ts";

export interface TestOptions extends Deviations {
  readonly timeoutMs?: number;
  /** Why the test fails with any runtime: the engine does not meet the requirement. */
  readonly engine?: EngineDeviation;
}

export interface EngineDeviation {
  /** The engine's name and version. */
  readonly name: string;
  readonly reason: string;
  /** What the error says if it is that. Any other fails the test, since it may be the runtime's fault. */
  readonly shows: RegExp;
  /** A race: the test fails only now and then. */
  readonly sometimes?: true;
}

export interface JudgedTest extends TestOptions {
  readonly title: string;
  /** The title as vitest shows it, where that has more. */
  readonly name?: string;
  /** The executable of the runtime that is judged. */
  readonly path: string;
  /** It may run at the same time as other tests of its file. */
  readonly concurrent?: boolean;
}

/**
 * A test of vitest. Under a peer (peers.ts) or an engine that is known not to meet the requirement it has to fail: if it passes, the
 * deviation is stale. A deviation that shows only sometimes can't become stale, so the test is skipped when it fails and may pass as well.
 */
export function judgedTest(
  { title, name = title, path, timeoutMs, concurrent = false, engine, ...deviations }: JudgedTest,
  run: (context: TestContext) => Promise<void>,
): void {
  noteDeviations(title, deviations);
  const known = engine ?? deviationOf(path, deviations);
  const who = engine?.name ?? basename(path);
  const options = { concurrent, ...(timeoutMs !== undefined && { timeout: timeoutMs }) };
  if (known === undefined) {
    test(name, options, run);
    return;
  }
  const judged = `${name} [${who} deviates: ${known.reason}]`;
  test(judged, options, async (context) => {
    const failed = await run(context).then(
      () => false,
      (error: unknown) => {
        if (!isVerdict(error) || engine?.shows.test(error.message) === false) throw error;
        return true;
      },
    );
    if (failed && known.sometimes === true) context.skip(known.reason);
    if (!failed && known.sometimes !== true)
      throw new Error(`${who} meets the requirement: the deviation is stale`);
  });
}

/**
 * Whether a failure is about the runtime: an assertion, output that is not JSON, or an error that the harness throws on purpose. A
 * mistake in the test, a missing program or file, or a timeout is not, and fails the test also where a deviation is known.
 */
function isVerdict(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const isJson = error instanceof SyntaxError && error.message.includes("JSON");
  return error.name === "AssertionError" || isJson || (error.constructor === Error && !("code" in error));
}
