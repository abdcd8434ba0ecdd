import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import type { Container } from "../harness/container.ts";
import { type Kind, type Outcomes, SUBJECTS, tableOfKills } from "../harness/engines/killed.ts";
import { killAfter } from "../harness/helpers/kill-after.ts";
import { hostSnapshot, removeTraces } from "../harness/host/leftovers.ts";
import { PATH, RUNTIME } from "../harness/runtime.ts";
import { OF_NO_CONTAINER, Sandbox } from "../harness/sandbox.ts";

/** Engines kill a runtime that takes too long, and then call `delete --force`. */

const KILLS = 48;

/** For what ends or is removed a while after the command. */
const GRACE_MS = 1000;

const outcomes = new Map<string, Outcomes>();

afterAll(() => console.log(tableOfKills("killed in create, then delete --force", outcomes)));

function startCreate([file = "", ...globals]: readonly string[], { id, bundle }: Container): ChildProcess {
  const args = [...globals, "create", "--bundle", bundle, id];
  // All processes of the container are found by its id in their environment.
  return spawn(file, args, { stdio: "ignore", env: { PATH, SPEC_TEST_TAG: id } });
}

/** The shortest of some: the first one has to read all files from the disk. */
async function durationOfCreate(
  runtime: readonly string[],
  newContainer: () => Container,
  deleted: (container: Container) => Promise<void>,
): Promise<number> {
  const durations: number[] = [];
  for (let round = 0; round < 3; round++) {
    const container = newContainer();
    const begun = Date.now();
    await once(startCreate(runtime, container), "exit");
    durations.push(Date.now() - begun);
    await deleted(container);
  }
  return Math.min(...durations);
}

function leftOf({ id, bundle }: Container, stateRoot: string): ReadonlySet<Kind> {
  const { processes, mounts, cgroups } = hostSnapshot(id);
  const found: [Kind, boolean][] = [
    ["process", processes.length > 0],
    ["mount", mounts.length > 0],
    ["cgroup", cgroups.length > 0],
    ["state", existsSync(join(stateRoot, id))],
    ["file", readdirSync(bundle).length > 2], // beside config.json and rootfs
  ];
  return new Set(found.filter(([, isLeft]) => isLeft).map(([kind]) => kind));
}

for (const path of SUBJECTS) {
  const required =
    path === RUNTIME ? "delete --force leaves nothing" : "what delete --force leaves is counted";
  test(`create killed at ${KILLS} instants under ${basename(path)}: ${required}`, {
    timeout: 400_000,
  }, async () => {
    const sandbox = new Sandbox();
    // Another folder than the sandbox's own, which it clears by the runtime under test.
    const stateRoot = sandbox.path("root");
    const runtime = [path, "--root", stateRoot];
    const newContainer = (): Container => sandbox.shell("sleep 1000");
    const deleted = async ({ id }: Container): Promise<void> => {
      await sandbox.run([...runtime, "delete", "--force", id]);
    };
    const takesMs = await durationOfCreate(runtime, newContainer, deleted);
    const killed: Container[] = [];
    let killedHalfway = 0;
    let entries: string[] = [];
    try {
      for (let index = 0; index < KILLS; index++) {
        const container = newContainer();
        const isKilled = await killAfter(startCreate(runtime, container), (index * takesMs) / KILLS);
        if (isKilled) killed.push(container);
        if (isKilled && existsSync(join(stateRoot, container.id))) killedHalfway += 1;
        await deleted(container);
      }
      await sleep(GRACE_MS);
      entries = readdirSync(stateRoot).filter((name) => !OF_NO_CONTAINER.includes(name));
      outcomes.set(
        path,
        killed.map((container) => leftOf(container, stateRoot)),
      );
    } finally {
      removeTraces(sandbox.tag);
      expect(await sandbox.close()).toEqual([]);
    }
    expect(killedHalfway).toBeGreaterThan(0);
    if (path !== RUNTIME) return;
    expect(outcomes.get(path)?.flatMap((left) => [...left])).toEqual([]);
    expect(entries).toEqual([]);
  });
}
