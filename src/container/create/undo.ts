import type { GlobalOptions } from "../context.ts";

/** Takes back what a failed operation has made, as far as it goes: the first error is the one to tell, these are warnings. */
export function undoAll({ log }: GlobalOptions, steps: readonly (() => unknown)[]): void {
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      // What could not be undone, `delete --force` finds by the record.
      log.warn(`clean-up: ${error instanceof Error ? error.message : error}`);
    }
  }
}
