import { RUNTIME } from "../runtime.ts";
import type { Sandbox } from "../sandbox.ts";
import { startPython } from "./python-program.ts";

/** A parent that reaps only the processes that it has started itself: lazy-parent.py. */
export interface LazyParent {
  /** Runs a command of the runtime below it; returns the exit code. */
  runtime(...args: readonly string[]): Promise<number>;
  /** Ends it, so that another process reaps the zombies that it leaves. */
  stop(): Promise<void>;
}

export function startLazyParent(sandbox: Sandbox): LazyParent {
  const parent = startPython(sandbox, "lazy-parent.py");
  return {
    runtime: async (...args) => {
      parent.stdin.write(`${JSON.stringify([RUNTIME, "--root", sandbox.root, ...args])}\n`);
      return Number(await parent.next());
    },
    stop: parent.stop,
  };
}
