import { spawn } from "node:child_process";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import {
  checkpoint,
  countAbove,
  counting,
  criuSpec,
  imagesIn,
  restore,
  succeeded,
} from "../harness/helpers/checkpoint.ts";
import { killAfter } from "../harness/helpers/kill-after.ts";
import { IS_RUNTS, RUNTIME } from "../harness/runtime.ts";
import { skipWithout, spec } from "../harness/spec.ts";

const CLAUSE = "promise: nothing leaks, whenever the runtime dies";

/** Later than a create takes on a busy machine, so that some kills come after its end. */
const LATEST_KILL_MS = 60;
const KILLS = 40;
const RESTORES = 14;

/** Spread over the time that a create takes, the same in each run. */
const instants = Array.from({ length: KILLS }, (_, index) => (index * LATEST_KILL_MS) / KILLS);

for (const [situation, globals] of [
  ["", []],
  ...(IS_RUNTS ? [[" without a cgroup", ["--cgroup-manager", "disabled"]] as const] : []),
] as const) {
  spec(
    `create${situation} killed at any instant: delete --force removes all that is left`,
    CLAUSE,
    async (sandbox) => {
      for (const instant of instants) {
        const container = sandbox.shell("sleep 1000");
        const args = [
          "--root",
          sandbox.root,
          ...globals,
          "create",
          "--bundle",
          container.bundle,
          container.id,
        ];
        await killAfter(spawn(RUNTIME, args, { stdio: "ignore" }), instant);
        const deleted = await container.delete("--force");
        expect([instant, deleted.code, deleted.stderr]).toEqual([instant, 0, ""]);
      }
      await expect.poll(() => sandbox.traces()).toEqual([]);
    },
    globals.length === 0 ? { both: "delete --force does not find the leftovers of a killed create" } : {},
  );

  if (IS_RUNTS) {
    // Killed at renameat2(2), by which runts writes the record.
    spec(
      `create${situation} killed while it writes its record: delete --force removes all that is left`,
      CLAUSE,
      async (sandbox, context) => {
        skipWithout(context, "strace");
        const codes: number[] = [];
        // Create renames a record before it makes anything else, and at its end; fewer than four times, so the last round succeeds.
        for (const when of [1, 2, 3, 4]) {
          const container = sandbox.shell("sleep 1000");
          const inject = `inject=renameat2:error=EIO:signal=KILL:when=${when}`;
          const wrapper = ["strace", "-qq", "-o", "/dev/null", "-e", inject];
          codes.push((await container.create({ globals, wrapper })).code);
          const deleted = await container.delete("--force");
          expect([when, deleted.code, deleted.stderr]).toEqual([when, 0, ""]);
        }
        expect(codes[0]).toBe(137);
        expect(codes.at(-1)).toBe(0);
        expect(await sandbox.traces()).toEqual([]);
      },
    );
  }
}

/** Where criu mounts the file systems of a container that it restores. */
function criuFolders(): readonly string[] {
  return readdirSync("/tmp").filter((name) => name.startsWith(".criu.mntns."));
}

criuSpec(
  "restore killed at any instant: delete --force removes all that is left",
  CLAUSE,
  async (sandbox) => {
    const container = await counting(sandbox);
    await countAbove(container, 1);
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
    const begun = Date.now();
    succeeded(await restore(sandbox, container, images), images, "restore.log");
    const takesMs = Date.now() - begun;
    expect((await container.delete("--force")).code).toBe(0);
    const words = ["--bundle", container.bundle, "--detach", ...images.flags, container.id];
    const log = join(images.work, "restore.log");
    let killsOfCriu = 0;
    const foldersBefore = criuFolders();
    for (let index = 0; index < RESTORES; index++) {
      rmSync(log, { force: true });
      const child = spawn(RUNTIME, ["--root", sandbox.root, "restore", ...words], { stdio: "ignore" });
      const isKilled = await killAfter(child, (index * takesMs) / RESTORES);
      if (isKilled && existsSync(log)) killsOfCriu += 1;
      const deleted = await container.delete("--force");
      expect([index, deleted.code, deleted.stderr]).toEqual([index, 0, ""]);
      expect([index, await sandbox.traces()]).toEqual([index, []]);
    }
    expect(killsOfCriu).toBeGreaterThan(0);
    // Other tests may restore at the same time: their folders go. A test of a peer has failed before.
    const left = () => criuFolders().filter((name) => !foldersBefore.includes(name));
    await expect.poll(left).toEqual([]);
  },
  { both: "delete --force does not find the leftovers of a killed restore" },
);
