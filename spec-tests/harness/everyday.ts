import { afterAll, beforeAll, expect, test } from "vitest";
import { openPodman, type Podman } from "./podman.ts";
import { type Result, which } from "./runtime.ts";

/** One thing that people do with podman; afterwards no container of it is left. */
export type Everyday = (title: string, body: (podman: Podman) => Promise<void>) => void;

/** The tests of one file share one podman. `who` says whose it is, in the titles. */
export function podmanTests(who = "podman", open: () => Promise<Podman> = () => openPodman()): Everyday {
  let podman: Podman | undefined;
  beforeAll(async () => {
    if (which("podman") !== undefined) podman = await open();
  }, 60_000);
  afterAll(() => podman?.close(), 60_000);
  return (title, body) =>
    test(`${who} ${title}`, async (context) => {
      if (podman === undefined) return context.skip("podman is not installed: apt-get install podman");
      await body(podman);
      expect((await podman.call("ps", "--all", "--quiet")).stdout).toBe("");
      expect(podman.cgroups().filter((path) => path.includes("libpod-"))).toEqual([]);
    });
}

export function run(engine: Podman, ...args: string[]): Promise<Result> {
  return engine.call("run", "--rm", ...args);
}
