import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { expect } from "vitest";
import { type Container, succeed } from "../harness/container.ts";
import { mappedShell, writableCgroup } from "../harness/delegated.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** A container that may make cgroups below its own chooses their names and their number, and what they do. */
const CLAUSE = "promise: cgroups that the container makes are in nobody's way";

interface Way {
  readonly mapped: boolean;
  readonly prints: string;
}

async function running(sandbox: Sandbox, script: string, { mapped, prints }: Way): Promise<Container> {
  const container = mapped
    ? mappedShell(sandbox, script, writableCgroup)
    : sandbox.shell(script, writableCgroup);
  const directory = `/sys/fs/cgroup/${container.id}`;
  // What a runtime can't remove must not be in the way of other tests: find(1) knows how.
  sandbox.atEnd(() => {
    if (existsSync(directory)) execFileSync("find", [directory, "-depth", "-type", "d", "-delete"]);
  });
  await container.started();
  await expect.poll(() => container.printed()).toBe(prints);
  return container;
}

/** By steps, as a path would be too long. */
const LONG = "x".repeat(250);
const TREES = {
  "a name that is not UTF-8": `name=$(printf 'a\\377b'); mkdir "$name" && cd -P "$name"`,
  "17 names of 250 characters": `for n in $(seq 17); do mkdir ${LONG} && cd -P ${LONG}; done`,
};

/** Init has moved to the innermost cgroup, beside which there is another one. */
function moved(sandbox: Sandbox, script: string, mapped = false): Promise<Container> {
  const all = `cd /sys/fs/cgroup; ${script}; mkdir beside; echo 1 > cgroup.procs && cd / && echo moved; sleep 999`;
  return running(sandbox, all, { mapped, prints: "moved" });
}

for (const [tree, script] of Object.entries(TREES)) {
  spec(`delete --force, init in a cgroup below with ${tree}: gone`, CLAUSE, async (sandbox) => {
    const container = await moved(sandbox, script);
    succeed("delete", await container.delete("--force"));
    expect(await sandbox.traces()).toEqual([]);
  });

  spec(`delete, stopped, a cgroup below with ${tree} left: gone`, CLAUSE, async (sandbox) => {
    const container = await moved(sandbox, script);
    succeed("kill", await container.kill("KILL"));
    await container.until("stopped");
    succeed("delete", await container.delete());
    expect(await sandbox.traces()).toEqual([]);
  });

  spec(
    `pause and resume, init in a cgroup below with ${tree}: paused, then running`,
    CLAUSE,
    async (sandbox) => {
      const container = await moved(sandbox, script);
      succeed("pause", await sandbox.invoke(["pause", container.id]));
      expect((await container.state()).status).toBe("paused");
      succeed("resume", await sandbox.invoke(["resume", container.id]));
      expect((await container.state()).status).toBe("running");
    },
  );

  spec(`ps --format json, init in a cgroup below with ${tree}: listed`, CLAUSE, async (sandbox) => {
    const container = await moved(sandbox, script);
    const { stdout } = succeed("ps", await sandbox.invoke(["ps", "--format", "json", container.id]));
    expect(JSON.parse(stdout)).toContain((await container.state()).pid);
  });
}
