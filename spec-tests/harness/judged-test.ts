import { basename } from "node:path";
import { type TestContext, test } from "vitest";
import { deviation } from "./peers.ts";

export interface JudgedTest {
  /** By which peers.ts knows the requirement. */
  readonly title: string;
  /** The title as vitest shows it, where that has more. */
  readonly name?: string;
  /** The executable of the runtime that is judged. */
  readonly path: string;
  readonly timeoutMs?: number | undefined;
}

/**
 * A test of vitest. Under a peer that is known not to meet it (peers.ts) it has to fail: one that passes is a stale entry. Of a
 * failure that comes only now and then nothing follows.
 */
export function judgedTest(
  { title, name = title, path, timeoutMs }: JudgedTest,
  run: (context: TestContext) => Promise<void>,
): void {
  const known = deviation(path, title);
  if (known === undefined) {
    test(name, run, timeoutMs);
    return;
  }
  const judged = `${name} [${basename(path)} deviates: ${known.reason}]`;
  if (known.sometimes === true)
    test(judged, (context) => run(context).catch(() => context.skip(known.reason)), timeoutMs);
  else test.fails(judged, run, timeoutMs);
}
