import type { Sandbox } from "../sandbox.ts";
import { startPython } from "./python-program.ts";

/** A process that swaps paths for one another in a tight loop, as an attacker does who shares a volume; ended with the test. */
export async function startSwapper(
  sandbox: Sandbox,
  pairs: readonly (readonly [string, string])[],
): Promise<() => Promise<void>> {
  const swapper = startPython(sandbox, "swapper.py", ...pairs.flat());
  await swapper.next();
  sandbox.settle();
  return swapper.stop;
}
