import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import type { Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const PAUSES_ANY_STATUS =
  "pause and resume accept any container that has not stopped, and a paused one that was not started is shown as created";

const CLAUSE = "practice of runc and crun";
const OF_RUNC = "practice of runc";

function pause(sandbox: Sandbox, { id }: Container): Promise<Result> {
  return sandbox.invoke(["pause", id]);
}

function resume(sandbox: Sandbox, { id }: Container): Promise<Result> {
  return sandbox.invoke(["resume", id]);
}

const DONE: Result = { code: 0, stdout: "", stderr: "" };

/** A running container that keeps printing. */
async function printing(sandbox: Sandbox): Promise<Container> {
  const container = sandbox.shell("while :; do echo tick; sleep 0.02; done");
  await container.started();
  await untilItPrints(container);
  return container;
}

async function untilItPrints(container: Container): Promise<void> {
  const before = container.printed().length;
  await expect.poll(() => container.printed().length).toBeGreaterThan(before);
}

/** The control files of a cgroup are where config.linux.cgroupsPath says. */
function cgroup({ id }: Container): string {
  return `/sys/fs/cgroup/${id}`;
}

spec("pause, resume: all processes are frozen, then run on", CLAUSE, async (sandbox) => {
  const container = await printing(sandbox);
  expect(await pause(sandbox, container)).toEqual(DONE);
  expect(readFileSync(`${cgroup(container)}/cgroup.events`, "utf8")).toContain("frozen 1\n");
  const before = container.printed();
  expect((await container.state()).status).toBe("paused");
  await sleep(100);
  expect(container.printed()).toBe(before);
  expect(await resume(sandbox, container)).toEqual(DONE);
  expect(readFileSync(`${cgroup(container)}/cgroup.events`, "utf8")).toContain("frozen 0\n");
  expect((await container.state()).status).toBe("running");
  await untilItPrints(container);
});

spec("pause, paused: list says so, and the pid stays", CLAUSE, async (sandbox) => {
  const container = await printing(sandbox);
  const { pid } = await container.state();
  await pause(sandbox, container);
  expect((await sandbox.invoke(["list"])).stdout).toMatch(new RegExp(` ${pid} +paused `));
  expect(await container.state()).toMatchObject({ status: "paused", pid });
});

spec("pause, processes in sub-cgroups: frozen, too", CLAUSE, async (sandbox) => {
  const container = await printing(sandbox);
  const inner = `${cgroup(container)}/inner`;
  mkdirSync(inner);
  writeFileSync(`${inner}/cgroup.procs`, String((await container.state()).pid));
  expect(await pause(sandbox, container)).toEqual(DONE);
  expect(readFileSync(`${inner}/cgroup.events`, "utf8")).toContain("frozen 1\n");
  expect(await resume(sandbox, container)).toEqual(DONE);
  await untilItPrints(container);
});

spec(
  "pause, created: paused, start fails, and created again after resume",
  OF_RUNC,
  async (sandbox) => {
    const container = sandbox.shell("echo started");
    await container.created();
    expect(await pause(sandbox, container)).toEqual(DONE);
    expect((await container.state()).status).toBe("paused");
    expectRefusal(await container.start(), "cannot start a container in the paused state");
    expect(await resume(sandbox, container)).toEqual(DONE);
    expect((await container.state()).status).toBe("created");
    expect((await container.start()).code).toBe(0);
    await container.until("stopped");
    expect(container.printed()).toBe("started");
  },
  { crun: PAUSES_ANY_STATUS },
);

spec(
  "pause, paused: error, and it stays paused",
  OF_RUNC,
  async (sandbox) => {
    const container = await printing(sandbox);
    await pause(sandbox, container);
    expectRefusal(await pause(sandbox, container), "container not running");
    expect((await container.state()).status).toBe("paused");
  },
  { crun: PAUSES_ANY_STATUS },
);

for (const status of ["created", "running"] as const) {
  spec(
    `resume, ${status}: error, and it stays ${status}`,
    OF_RUNC,
    async (sandbox) => {
      const container = sandbox.shell("sleep 1000");
      await container.created();
      if (status === "running") await container.start();
      expectRefusal(await resume(sandbox, container), "container not paused");
      expect((await container.state()).status).toBe(status);
    },
    { crun: PAUSES_ANY_STATUS },
  );
}

for (const [command, words] of [
  ["pause", "container not running"],
  ["resume", "container not paused"],
] as const) {
  spec(
    `${command}, stopped: error in runc's words`,
    OF_RUNC,
    async (sandbox) => {
      const container = sandbox.container();
      await container.started();
      await container.until("stopped");
      expectRefusal(await sandbox.invoke([command, container.id]), words);
    },
    { crun: "words the same errors differently" },
  );

  spec(
    `${command}, unknown id: error in the words that engines match`,
    "engines: does not exist",
    async (sandbox) => {
      expectRefusal(await sandbox.invoke([command, `${sandbox.tag}none`]), "does not exist");
    },
    { crun: { reason: "words the same errors differently", before: "1.28" } },
  );

  spec(`${command} without an id: error`, CLAUSE, async (sandbox) => {
    expectRefusal(await sandbox.invoke([command]), inOurWords("requires exactly 1 argument"));
  });
}

spec("kill KILL, paused: the container stops, and can be deleted", CLAUSE, async (sandbox) => {
  const container = await printing(sandbox);
  await pause(sandbox, container);
  expect((await container.kill("KILL")).code).toBe(0);
  await container.until("stopped");
  expect((await container.delete()).code).toBe(0);
  expect(await sandbox.traces()).toEqual([]);
});

spec(
  "kill KILL, paused, shared pid namespace: every process of the container ends",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000 & echo ready; wait", (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
    });
    await container.started();
    await expect.poll(() => container.printed()).toBe("ready");
    await pause(sandbox, container);
    expect((await container.kill("KILL")).code).toBe(0);
    await container.until("stopped");
    await expect.poll(() => sandbox.processes()).toEqual([]);
  },
  {
    crun: "SIGKILL goes to init alone",
    runc: [
      {
        reason: "processes of a paused container in a shared pid namespace stay in some runs",
        sometimes: true,
        from: "1.2",
      },
      {
        reason:
          "processes that outlive init in a shared pid namespace stay (opencontainers/runc#4102, solved in 1.2)",
        before: "1.2",
      },
    ],
  },
);

spec("kill TERM, paused: the program gets it after resume", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("trap 'echo TERM; exit' TERM; echo ready; while :; do sleep 0.02; done");
  await container.started();
  await expect.poll(() => container.printed()).toBe("ready");
  await pause(sandbox, container);
  expect((await container.kill("TERM")).code).toBe(0);
  expect((await container.state()).status).toBe("paused");
  await resume(sandbox, container);
  await container.until("stopped");
  expect(container.printed()).toBe("ready\nTERM");
});

spec("delete, paused: error, and it stays paused", "runtime.md, Delete: MUST error", async (sandbox) => {
  const container = await printing(sandbox);
  await pause(sandbox, container);
  expectRefusal(await container.delete(), inOurWords("that is not stopped: paused"));
  expect((await container.state()).status).toBe("paused");
});

spec("delete --force, paused: killed and deleted", "practice: delete --force", async (sandbox) => {
  const container = await printing(sandbox);
  await pause(sandbox, container);
  expect((await container.delete("--force")).code).toBe(0);
  expect(await sandbox.traces()).toEqual([]);
});
