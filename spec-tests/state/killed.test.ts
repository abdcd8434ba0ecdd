import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { RUNTIME } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

/** Later than a create takes on a busy machine, so that some kills come after its end. */
const LATEST_KILL_MS = 60;
const KILLS = 40;

/** Spread over the time that a create takes, the same in each run. */
const instants = Array.from({ length: KILLS }, (_, index) => (index * LATEST_KILL_MS) / KILLS);

async function killAfter(child: ChildProcess, milliseconds: number): Promise<void> {
  const ended = once(child, "exit");
  await sleep(milliseconds);
  child.kill("SIGKILL");
  await ended;
}

spec(
  "create killed at any instant: delete --force removes all that is left",
  "promise: nothing leaks, whenever the runtime dies",
  async (sandbox) => {
    for (const instant of instants) {
      const container = sandbox.shell("sleep 1000");
      const args = ["--root", sandbox.root, "create", "--bundle", container.bundle, container.id];
      await killAfter(spawn(RUNTIME, args, { stdio: "ignore" }), instant);
      const deleted = await container.delete("--force");
      expect([instant, deleted.code, deleted.stderr]).toEqual([instant, 0, ""]);
    }
    await expect.poll(() => sandbox.traces()).toEqual([]);
  },
);
