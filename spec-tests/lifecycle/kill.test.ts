import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { renameSync } from "node:fs";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const SIGNAL_NAMES = "accepts signal names only in capitals, and numbers with letters behind them";
const SIGKILL_TO_INIT =
  "SIGKILL goes to init alone, and with --all to the whole cgroup, even if another container uses it";

const CLAUSE = "runtime.md, Kill";

/** A container that writes the names of the signals that reach it, and is ready for them. */
async function listening(sandbox: Sandbox, signals: string): Promise<Container> {
  const traps = signals.split(" ").map((name) => `trap 'echo ${name} >> /tmp/got' ${name};`);
  const container = sandbox.shell(
    `${traps.join(" ")} touch /tmp/ready; while :; do sleep 0.02; done`,
    (config) => {
      config.root.readonly = false;
    },
  );
  await container.started();
  await waitForFile(container, "tmp/ready", "");
  return container;
}

async function waitForFile(container: Container, path: string, text: string): Promise<void> {
  await expect.poll(() => tryRead(container, path)).toBe(text);
}

function tryRead(container: Container, path: string): string | undefined {
  try {
    return container.readFile(path);
  } catch {
    return undefined;
  }
}

const signalNameDeviations = byCase({ crun: SIGNAL_NAMES, cases: ["term"] });

for (const signal of ["TERM", "SIGTERM", "15", "term"]) {
  spec(
    `kill ${signal}, running: the program gets SIGTERM`,
    `${CLAUSE}: MUST send the signal`,
    async (sandbox) => {
      const container = await listening(sandbox, "TERM");
      expect(await container.kill(signal)).toMatchObject({ code: 0, stdout: "", stderr: "" });
      await waitForFile(container, "tmp/got", "TERM\n");
    },
    signalNameDeviations(signal),
  );
}

spec(
  "kill without a signal, running: the program gets SIGTERM",
  "practice: kill defaults to SIGTERM",
  async (sandbox) => {
    const container = await listening(sandbox, "TERM");
    expect((await container.kill()).code).toBe(0);
    await waitForFile(container, "tmp/got", "TERM\n");
  },
);

for (const [signal, name] of [
  ["USR1", "USR1"],
  ["10", "USR1"],
  ["SIGHUP", "HUP"],
  ["12", "USR2"],
  ["WINCH", "WINCH"],
] as const) {
  spec(
    `kill ${signal}, running: the program gets SIG${name}`,
    `${CLAUSE}: MUST send the signal`,
    async (sandbox) => {
      const container = await listening(sandbox, name);
      expect((await container.kill(signal)).code).toBe(0);
      await waitForFile(container, "tmp/got", `${name}\n`);
      expect((await container.state()).status).toBe("running");
    },
  );
}

const realTimeDeviations = byCase({
  runc: "the names of real-time signals are unknown to golang.org/x/sys",
  cases: ["SIGRTMIN+1", "RTMIN+3"],
});

for (const [signal, number] of [
  ["SIGRTMIN+1", 35],
  ["RTMIN+3", 37],
  ["34", 34],
] as const) {
  spec(
    `kill ${signal}, running: a real-time signal`,
    `${CLAUSE}: MUST send the signal`,
    async (sandbox) => {
      const container = sandbox.shell("sleep 1000", (config) => {
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
        config.process.args = ["sleep", "1000"];
      });
      const result = await container.run({
        whileRunning: async () => {
          await expect
            .poll(() => container.stateCommand().then(({ stdout }) => stdout))
            .toContain('"running"');
          expect((await container.kill(signal)).code).toBe(0);
        },
      });
      expect(result.code).toBe(128 + number);
    },
    realTimeDeviations(signal),
  );
}

spec("kill KILL, running: the container stops", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("sleep 1000");
  await container.started();
  expect((await container.kill("KILL")).code).toBe(0);
  await container.until("stopped");
});

spec("kill 9, created: the container stops", `${CLAUSE}: created or running`, async (sandbox) => {
  const container = sandbox.container();
  await container.created();
  expect((await container.kill("9")).code).toBe(0);
  await container.until("stopped");
});

spec(
  "kill, stopped: error in the words that engines match",
  `${CLAUSE}: MUST error; engines: container not running`,
  async (sandbox) => {
    const container = sandbox.container();
    await container.started();
    await container.until("stopped");
    const before = (await container.stateCommand()).stdout;
    const result = await container.kill("TERM");
    expectRefusal(result, "container not running");
    expect((await container.stateCommand()).stdout).toBe(before);
  },
  { crun: { reason: "words the same error differently", from: "1.28" } },
);

spec(
  "kill --all, stopped: no error",
  "practice: kill --all of a stopped container succeeds",
  async (sandbox) => {
    const container = sandbox.container();
    await container.started();
    await container.until("stopped");
    expect((await sandbox.invoke(["kill", "--all", container.id, "9"])).code).toBe(0);
  },
);

spec("kill --all 9, running: every process ends", "engines: kill [--all] ID 9", async (sandbox) => {
  const container = sandbox.shell("sleep 1000 & sleep 1000 & wait");
  await container.started();
  expect((await sandbox.invoke(["kill", "--all", container.id, "9"])).code).toBe(0);
  await container.until("stopped");
});

spec(
  "kill 0, running: no error, and state prints the same as before",
  "runtime-tools: kill without effect",
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000");
    await container.started();
    const before = (await container.stateCommand()).stdout;
    expect((await container.kill("0")).code).toBe(0);
    expect((await container.stateCommand()).stdout).toBe(before);
  },
);

const unknownSignalDeviations = byCase({ crun: SIGNAL_NAMES, cases: ['"9x"'] });

for (const signal of ["NOSUCH", "SIGNOSUCH", "65", "-1", "9x"]) {
  spec(
    `kill ${JSON.stringify(signal)}: error, and the container runs on`,
    "practice: unknown signals are refused",
    async (sandbox) => {
      const container = sandbox.shell("sleep 1000");
      await container.started();
      const result = await sandbox.invoke(["kill", "--", container.id, signal]);
      expectRefusal(result, inOurWords(`unknown signal ${JSON.stringify(signal)}`));
      expect((await container.state()).status).toBe("running");
    },
    unknownSignalDeviations(JSON.stringify(signal)),
  );
}

spec(
  "kill, unknown id: error in the words that engines match",
  `${CLAUSE}; engines: does not exist`,
  async (sandbox) => {
    const result = await sandbox.invoke(["kill", `${sandbox.tag}none`, "KILL"]);
    expectRefusal(result, "does not exist");
  },
  { crun: { reason: "words the same errors differently", before: "1.28" } },
);

spec("kill without an id: error", `${CLAUSE}: MUST error if the id is not given`, async (sandbox) => {
  expect((await sandbox.invoke(["kill"])).code).not.toBe(0);
});

spec(
  "kill KILL, shared pid namespace: every process of the container ends",
  "practice: SIGKILL goes to the whole cgroup",
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000 & touch /tmp/ready; wait", (config) => {
      config.root.readonly = false;
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
    });
    await container.started();
    await waitForFile(container, "tmp/ready", "");
    expect((await container.kill("KILL")).code).toBe(0);
    await container.until("stopped");
    await expect.poll(() => sandbox.processes()).toEqual([]);
  },
  {
    crun: "SIGKILL goes to init alone",
    runc: {
      reason:
        "processes that outlive init in a shared pid namespace stay (opencontainers/runc#4102, solved in 1.2)",
      before: "1.2",
    },
  },
);

/** A container in a shared pid namespace whose init has ended while another process lives on. */
async function withoutInit(sandbox: Sandbox): Promise<Container> {
  const container = sandbox.shell("sleep 1000 & echo > /tmp/ready", (config) => {
    config.root.readonly = false;
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
  });
  await container.started();
  await waitForFile(container, "tmp/ready", "\n");
  await container.until("stopped");
  return container;
}

/** Counts the descriptors of all processes that are open on a directory, plus one. */
function openersOf(directory: string): number {
  const { stdout } = spawnSync("find", [
    "/proc",
    "-maxdepth",
    "3",
    "-path",
    "/proc/[0-9]*/fd/*",
    "-lname",
    directory,
  ]);
  return stdout.toString().split("\n").length;
}

spec(
  "kill KILL, shared pid namespace, init has ended: the other processes are killed",
  "practice: SIGKILL goes to the whole cgroup, as in runc",
  async (sandbox) => {
    const container = await withoutInit(sandbox);
    expect(sandbox.processes()).not.toEqual([]);
    expectRefusal(await container.kill("TERM"), "container not running");
    expect(sandbox.processes()).not.toEqual([]);
    expect(await container.kill("KILL")).toMatchObject({ code: 0, stderr: "" });
    await expect.poll(() => sandbox.processes()).toEqual([]);
    if (IS_RUNTS) expectRefusal(await container.kill("KILL"), "container not running");
  },
  {
    crun: SIGKILL_TO_INIT,
    runc: {
      reason:
        "processes that outlive init in a shared pid namespace can't be killed before 1.2 (opencontainers/runc#4102)",
      before: "1.2",
    },
  },
);

// The peers have no lock that a test could hold.
if (IS_RUNTS) {
  spec(
    "kill KILL, stopped, deleted meanwhile: no process in the cgroup is killed",
    "promise: no process of another container is killed",
    async (sandbox) => {
      const container = await withoutInit(sandbox);
      const directory = sandbox.path(`state/${container.id}`);
      const holder = spawn("flock", [directory, "sh", "-c", "echo; cat"], {
        stdio: ["pipe", "pipe", "ignore"],
      });
      await once(holder.stdout, "data");
      const own = openersOf(directory);
      const killing = container.kill("KILL");
      await expect.poll(() => openersOf(directory)).toBeGreaterThan(own);
      renameSync(directory, `${directory}-elsewhere`);
      holder.stdin.end();
      expectRefusal(await killing, "container not running");
      expect(sandbox.processes()).not.toEqual([]);
      renameSync(`${directory}-elsewhere`, directory);
      expect((await container.kill("KILL")).code).toBe(0);
    },
  );
}

spec(
  "kill [--all] KILL, stopped, another container uses its cgroup: the other container is not killed",
  "promise: no process of another container is killed",
  async (sandbox) => {
    const path = `/${sandbox.tag}shared`;
    const shared = (script: string) =>
      sandbox.shell(script, (config) => {
        config.linux.cgroupsPath = path;
        config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
      });
    const first = shared("true");
    await first.started();
    await first.until("stopped");
    const second = shared("sleep 1000");
    await second.started();
    expectRefusal(await first.kill("KILL"), "container not running");
    await sandbox.invoke(["kill", "--all", first.id, "KILL"]);
    expect((await second.state()).status).toBe("running");
  },
  {
    crun: SIGKILL_TO_INIT,
    runc: [
      {
        reason:
          "SIGKILL goes to all in the cgroup of a container that has stopped, even to another container's",
        from: "1.2",
      },
      {
        reason: "with --all, SIGKILL goes to all in the cgroup, even to another container's",
        sometimes: true,
        before: "1.2",
      },
    ],
  },
);
