import { execFileSync } from "node:child_process";
import { existsSync, rmdirSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { writableCgroup } from "../harness/config.ts";
import { type Container, succeed } from "../harness/container.ts";
import { mappedShell } from "../harness/host/user-namespace.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const TOO_DEEP = "reaches cgroups by their paths, and leaves those that are deeper than PATH_MAX";
const PATH_TOO_LONG = {
  reason: "can't open a path that is too long by openat2(2) from the top, and leaves the cgroup",
  from: "1.3",
};
const PS_LISTS_NOBODY = {
  reason: "ps lists nobody if no process is in the topmost cgroup",
  before: "1.28",
};
const WAITS_UNTIL_THAWED = "exec waits in a frozen cgroup until it is thawed";

/** A container that may make sub-cgroups chooses their names, their number and their settings. */
const CLAUSE = "promise: cgroups that the container makes can't block a command";

interface Setting {
  readonly mapped: boolean;
  readonly prints: string;
}

async function running(sandbox: Sandbox, script: string, { mapped, prints }: Setting): Promise<Container> {
  const container = mapped
    ? mappedShell(sandbox, script, writableCgroup)
    : sandbox.shell(script, writableCgroup);
  const directory = `/sys/fs/cgroup/${container.id}`;
  // Cgroups that a runtime can't remove must not disturb other tests: find(1) removes them.
  sandbox.atEnd(() => {
    if (existsSync(directory)) execFileSync("find", [directory, "-depth", "-type", "d", "-delete"]);
  });
  await container.started();
  await expect.poll(() => container.printed()).toBe(prints);
  return container;
}

/** The tree below makes its folders step by step, since the path would be too long. */
const LONG = "x".repeat(250);
const TREES = {
  "a name that is not UTF-8": `name=$(printf 'a\\377b'); mkdir "$name" && cd -P "$name"`,
  "17 names of 250 characters": `for n in $(seq 17); do mkdir ${LONG} && cd -P ${LONG}; done`,
};

/** A container whose init has moved to the innermost cgroup, which has a sibling. */
function moved(sandbox: Sandbox, script: string, mapped = false): Promise<Container> {
  const all = `cd /sys/fs/cgroup; ${script}; mkdir beside; echo 1 > cgroup.procs && cd / && echo moved; sleep 999`;
  return running(sandbox, all, { mapped, prints: "moved" });
}

const deleteDeviations = byCase({ runc: TOO_DEEP, cases: ["17 names of 250 characters"] });

const pauseDeviations = byCase({ runc: PATH_TOO_LONG, cases: ["17 names of 250 characters"] });

const psDeviations = byCase(
  { crun: PS_LISTS_NOBODY, cases: ["a name that is not UTF-8"] },
  { crun: PS_LISTS_NOBODY, runc: TOO_DEEP, cases: ["17 names of 250 characters"] },
);

for (const [tree, script] of Object.entries(TREES)) {
  spec(
    `delete --force, init in a sub-cgroup with ${tree}: gone`,
    CLAUSE,
    async (sandbox) => {
      const container = await moved(sandbox, script);
      succeed("delete", await container.delete("--force"));
      expect(await sandbox.traces()).toEqual([]);
    },
    deleteDeviations(tree),
  );

  spec(
    `delete, stopped, a sub-cgroup with ${tree} left: gone`,
    CLAUSE,
    async (sandbox) => {
      const container = await moved(sandbox, script);
      succeed("kill", await container.kill("KILL"));
      await container.until("stopped");
      succeed("delete", await container.delete());
      expect(await sandbox.traces()).toEqual([]);
    },
    deleteDeviations(tree),
  );

  spec(
    `pause and resume, init in a sub-cgroup with ${tree}: paused, then running`,
    CLAUSE,
    async (sandbox) => {
      const container = await moved(sandbox, script);
      succeed("pause", await sandbox.invoke(["pause", container.id]));
      expect((await container.state()).status).toBe("paused");
      succeed("resume", await sandbox.invoke(["resume", container.id]));
      expect((await container.state()).status).toBe("running");
    },
    pauseDeviations(tree),
  );

  spec(
    `ps --format json, init in a sub-cgroup with ${tree}: listed`,
    CLAUSE,
    async (sandbox) => {
      const container = await moved(sandbox, script);
      const { stdout } = succeed("ps", await sandbox.invoke(["ps", "--format", "json", container.id]));
      expect(JSON.parse(stdout)).toContain((await container.state()).pid);
    },
    psDeviations(tree),
  );
}

const SHOW = "cmp -s /proc/1/cgroup /proc/self/cgroup && echo where init is || grep ^0:: /proc/self/cgroup";

/** The container freezes init's cgroup, while its other process can run. */
const FREEZE = `cd /sys/fs/cgroup; mkdir a b; echo 1 > a/cgroup.procs
sh -c 'echo $$ > b/cgroup.procs; echo 1 > a/cgroup.freeze; echo frozen; exec sleep 999' & sleep 999`;
const FROZEN: Setting = { mapped: false, prints: "frozen" };

const execDeviations = byCase({ runc: PATH_TOO_LONG, cases: ["17 names of 250 characters"] });

for (const mapped of [false, true]) {
  const where = mapped ? ", user namespace" : "";
  for (const [tree, script] of Object.entries(TREES)) {
    spec(
      `exec${where}, init in a sub-cgroup with ${tree}: runs`,
      CLAUSE,
      async (sandbox) => {
        const container = await moved(sandbox, script, mapped);
        const { stdout } = succeed("exec", await container.exec(["sh", "-c", SHOW]));
        // procfs can't show a path that is too long. Then exec runs in the container's own cgroup, as the peers' usually does.
        if (IS_RUNTS) expect(stdout).toBe(script.includes(LONG) ? "0::/\n" : "where init is\n");
      },
      mapped ? { runc: "the cgroupfs driver never changes the owner of a cgroup" } : execDeviations(tree),
    );
  }

  for (const flags of [[], ["--ignore-paused"]]) {
    const command = ["exec", ...flags].join(" ");
    spec(
      `${command}${where}, init in a cgroup that the container has frozen: runs at once, in another cgroup`,
      CLAUSE,
      async (sandbox) => {
        const container = await running(sandbox, FREEZE, { ...FROZEN, mapped });
        const result = await container.exec(["grep", "^0::", "/proc/self/cgroup"], { flags });
        expect(result).toMatchObject({ code: 0, stdout: "0::/\n" });
      },
      flags.length > 0 ? { crun: "has no --additional-gids and no --ignore-paused" } : {},
    );
  }
}

/** Init moves from cgroup to cgroup without end. */
const WANDER = `cd /sys/fs/cgroup; mkdir 0; echo wanders; i=0; while :; do
mkdir $((i + 1)); echo 1 > $((i + 1))/cgroup.procs; rmdir $i; i=$((i + 1)); done`;
/** A runtime that opens init's cgroup and then joins it fails in some of these calls, if not in all. */
const EXECS = 10;

for (const mapped of [false, true]) {
  const where = mapped ? ", user namespace" : "";
  spec(
    `exec${where}, init moves from cgroup to cgroup and removes each: runs each time`,
    CLAUSE,
    async (sandbox) => {
      const container = await running(sandbox, WANDER, { mapped, prints: "wanders" });
      for (let number = 0; number < EXECS; number += 1) succeed("exec", await container.exec(["true"]));
    },
  );
}

spec(
  "exec, init in a cgroup that the container has frozen, paused: the error for a paused container",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox, FREEZE, FROZEN);
    succeed("pause", await sandbox.invoke(["pause", container.id]));
    const words = inOurWords("cannot exec in a paused container");
    expectRefusal(await container.exec(["true"]), words, 255);
  },
);

spec(
  "exec --cgroup with a frozen cgroup: error that says so, no hang",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox, FREEZE, FROZEN);
    const result = await container.exec(["true"], { flags: ["--cgroup", "a"] });
    expectRefusal(result, inOurWords(`cannot exec in cgroup /${container.id}/a: it is frozen`), 255);
  },
  { both: WAITS_UNTIL_THAWED },
);

spec(
  "exec, the host has frozen a parent cgroup: error, no hang",
  CLAUSE,
  async (sandbox) => {
    const parent = `${sandbox.tag}-above`;
    const container = sandbox.container((config) => {
      config.process.args = ["sleep", "999"];
      config.linux.cgroupsPath = `/${parent}${config.linux.cgroupsPath}`;
    });
    await container.started();
    const freezer = `/sys/fs/cgroup/${parent}/cgroup.freeze`;
    writeFileSync(freezer, "1");
    sandbox.atEnd(() => rmdirSync(`/sys/fs/cgroup/${parent}`));
    expectRefusal(await container.exec(["true"]), inOurWords("cannot exec in a paused container"), 255);
    writeFileSync(freezer, "0");
  },
  { both: WAITS_UNTIL_THAWED },
);
