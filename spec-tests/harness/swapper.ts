import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Sandbox } from "./sandbox.ts";

/** A process that swaps paths for one another in a tight loop, as an attacker does who shares a volume; ended with the test. */
export async function startSwapper(
  sandbox: Sandbox,
  pairs: readonly (readonly [string, string])[],
): Promise<() => Promise<void>> {
  const child = spawn("python3", [join(import.meta.dirname, "swapper.py"), ...pairs.flat()], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  const ended = once(child, "exit");
  const stop = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  sandbox.atEnd(stop);
  sandbox.settle();
  return stop;
}
