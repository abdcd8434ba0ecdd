import { type Check, engineTests } from "./engine.ts";
import { openPodman, type Podman } from "./podman.ts";
import type { Result } from "./runtime.ts";

/** The tests of one file share one podman. `who` says whose it is, in the titles. */
export function podmanTests(who = "podman", open: () => Promise<Podman> = () => openPodman()): Check<Podman> {
  return engineTests({ who, programs: { podman: "podman" }, open });
}

export function run(engine: Podman, ...args: string[]): Promise<Result> {
  return engine.call("run", "--rm", ...args);
}
