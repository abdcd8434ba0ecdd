import { vi } from "vitest";

/** How long to wait for something: vitest.config.ts says more where the node is emulated. */
const PATIENCE_MS = Number(process.env.KUBERNETES_PATIENCE_MS ?? 90_000);
/** Each question is a process of kubectl. Where things take longer, more of them would slow the node down. */
const INTERVAL_MS = PATIENCE_MS / 180;

/** Asks until the answer meets an expectation. `expect.poll` does not work in tests that run at once. */
export function eventually<T>(
  ask: () => T | Promise<T>,
  expectation: (found: T) => void,
  timeoutMs = PATIENCE_MS,
): Promise<void> {
  return vi.waitFor(async () => expectation(await ask()), { timeout: timeoutMs, interval: INTERVAL_MS });
}
