import { vi } from "vitest";

/** Asks until the answer meets an expectation. Each question is a process of kubectl. `expect.poll` does not work in tests that run at once. */
export function eventually<T>(
  ask: () => T | Promise<T>,
  expectation: (found: T) => void,
  timeoutMs = 90_000,
): Promise<void> {
  return vi.waitFor(async () => expectation(await ask()), { timeout: timeoutMs, interval: 500 });
}
