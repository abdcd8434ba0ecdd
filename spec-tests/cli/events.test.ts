import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { expect, type TestContext } from "vitest";
import { type Container, succeed } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import { checkReadme } from "../harness/helpers/readme.ts";
import { asObject, parseObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import type { Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

const NEEDS_MEMORY_CONTROLLER = "events without --stats needs the memory controller";

const CLAUSE = "runc's events: types/events.go";

/** The events in the output, one object a line. */
function lines({ stdout }: Pick<Result, "stdout">): Record<string, unknown>[] {
  return stdout.split("\n").filter(Boolean).map(parseObject);
}

function events(sandbox: Sandbox, { id }: Container, ...flags: readonly string[]): Promise<Result> {
  return sandbox.invoke(["events", ...flags, id]);
}

spec(
  "events --stats, running: one line, exit 0",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const result = await events(sandbox, container, "--stats");
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toMatch(/^\{.*\}\n$/);
    const { type, id, data } = parseObject(result.stdout);
    expect({ type, id }).toEqual({ type: "stats", id: container.id });
    const { cpu, pids, memory, blkio, hugetlb } = asObject(data);
    const usage = asObject(asObject(cpu).usage);
    // Nanoseconds, converted from the kernel's microseconds.
    const [, microseconds] =
      /^usage_usec (\d+)$/m.exec(readFileSync(`/sys/fs/cgroup/${container.id}/cpu.stat`, "utf8")) ?? [];
    expect(usage.total).toBeGreaterThan(0);
    expect(usage.total).toBeLessThanOrEqual(Number(microseconds) * 1000);
    expect(Number(usage.kernel) + Number(usage.user)).toBeGreaterThan(0);
    expect(pids).toMatchObject({ current: 1 });
    for (const part of [memory, blkio, hugetlb]) expect(part).toBeInstanceOf(Object);
  },
  { crun: "has neither events nor --pidfd-socket" },
);

spec(
  "events --stats: pressure has the kernel's lines and fields",
  CLAUSE,
  async (sandbox, context) => {
    const container = await running(sandbox);
    let text = "";
    try {
      text = readFileSync(`/sys/fs/cgroup/${container.id}/cpu.pressure`, "utf8");
    } catch {
      context.skip("this kernel has no PSI for cgroups");
    }
    const { data } = parseObject((await events(sandbox, container, "--stats")).stdout);
    const psi = asObject(asObject(asObject(data).cpu).psi);
    expect(Object.keys(psi)).toEqual([...text.matchAll(/^(some|full) /gm)].map(([, kind]) => kind));
    for (const line of Object.values(psi)) {
      expect(Object.keys(asObject(line)).sort()).toEqual(["avg10", "avg300", "avg60", "total"]);
    }
  },
  {
    crun: "has neither events nor --pidfd-socket",
    runc: { reason: "pressure and --pidfd-socket came with 1.2", before: "1.2" },
  },
);

for (const status of ["created", "paused"] as const) {
  spec(
    `events --stats, ${status}: one line, exit 0`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("sleep 1000");
      await container.created();
      if (status === "paused") {
        expect((await container.start()).code).toBe(0);
        expect((await sandbox.invoke(["pause", container.id])).code).toBe(0);
      }
      const result = await events(sandbox, container, "--stats");
      expect(result.code).toBe(0);
      expect(lines(result)).toMatchObject([{ type: "stats", id: container.id }]);
    },
    { crun: "has neither events nor --pidfd-socket" },
  );
}

spec(
  "events with an interval: lines until the container stops, then exit 0",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const output = sandbox.path("events");
    const result = await sandbox.invoke(["events", "--interval", "30ms", container.id], {
      stdout: output,
      whileRunning: async () => {
        await expect.poll(() => lines({ stdout: readFileSync(output, "utf8") }).length).toBeGreaterThan(2);
        expect((await container.kill("KILL")).code).toBe(0);
      },
    });
    expect(result).toMatchObject({ code: 0, stderr: "" });
    for (const line of lines(result)) expect(line).toMatchObject({ type: "stats", id: container.id });
  },
  { crun: "has neither events nor --pidfd-socket", runc: NEEDS_MEMORY_CONTROLLER },
);

spec(
  "events, the container is deleted by force meanwhile: exit 0",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const output = sandbox.path("events");
    const result = await sandbox.invoke(["events", "--interval", "5ms", container.id], {
      stdout: output,
      whileRunning: async () => {
        // Output proves that events has found the container.
        await expect.poll(() => readFileSync(output, "utf8")).not.toBe("");
        expect((await container.delete("--force")).code).toBe(0);
      },
    });
    expect(result).toMatchObject({ code: 0, stderr: "" });
  },
  { crun: "has neither events nor --pidfd-socket", runc: NEEDS_MEMORY_CONTROLLER },
);

spec(
  "events, SIGTERM: events ends, the container runs on",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const output = sandbox.path("events");
    const result = await sandbox.invoke(["events", "--interval", "10ms", container.id], {
      stdout: output,
      whileRunning: async (pid) => {
        await expect.poll(() => readFileSync(output, "utf8")).not.toBe("");
        process.kill(pid, "SIGTERM");
      },
    });
    expect(result.code).not.toBe(124);
    expect((await container.state()).status).toBe("running");
  },
  { crun: "has neither events nor --pidfd-socket", runc: NEEDS_MEMORY_CONTROLLER },
);

spec(
  "events, the reader of its output ends: events ends, too",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const result = await sandbox.invoke(["events", "--interval", "10ms", container.id], {
      wrapper: ["bash", "-c", '"$@" | head -n 1', "bash"],
    });
    expect(result.code).toBe(0);
    expect(lines(result)).toMatchObject([{ type: "stats" }]);
    expect((await container.state()).status).toBe("running");
  },
  { crun: "has neither events nor --pidfd-socket", runc: NEEDS_MEMORY_CONTROLLER },
);

spec("events, the container runs out of memory: a line of type oom", CLAUSE, async (sandbox, context) => {
  if (!/\bmemory\b/.test(readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8")))
    context.skip("this machine has no memory controller on cgroup v2");
  const script = "until [ -e /tmp/go ]; do sleep 0.05; done; head -c 200m /dev/zero | tail";
  const container = sandbox.shell(script, (config) => {
    config.root.readonly = false;
    config.linux.resources = { memory: { limit: 20 * 1024 * 1024, swap: 20 * 1024 * 1024 } };
  });
  await container.started();
  const output = sandbox.path("events");
  const result = await sandbox.invoke(["events", "--interval", "100ms", container.id], {
    stdout: output,
    timeoutMs: 60_000,
    whileRunning: async () => {
      // Output proves that events is watching.
      await expect.poll(() => readFileSync(output, "utf8")).not.toBe("");
      container.writeFile("tmp/go", "");
    },
  });
  expect(result.code).toBe(0);
  expect(lines(result)).toContainEqual({ type: "oom", id: container.id });
});

const PSI = "Linux, Documentation/accounting/psi.rst";
const NO_PSI = { crun: "has neither events nor --pidfd-socket", runc: "has no --psi" };

/** Busy processes as long as /tmp/busy is there: three times as many as CPUs, so that some of them always wait for one. */
const BUSY = `
  busy() { while [ -e /tmp/busy ]; do :; done; }
  while :; do
    for n in $(seq ${3 * availableParallelism()}); do busy & done
    wait
    sleep 0.05
  done`;

async function busyContainer(
  sandbox: Sandbox,
  context: TestContext,
  start = (container: Container) => container.started(),
): Promise<Container> {
  const container = sandbox.shell(BUSY, (config) => {
    config.root.readonly = false;
  });
  container.writeFile("tmp/busy", "");
  await start(container);
  if (!existsSync(pressureFile(container))) context.skip("this kernel has no PSI for cgroups");
  return container;
}

function pressureFile({ id }: Container, file = "cpu.pressure"): string {
  return `/sys/fs/cgroup/${id}/${file}`;
}

/** Microseconds in which a process of the container has waited for a CPU. */
function stall(container: Container): number {
  return Number(/^some .*total=(\d+)$/m.exec(readFileSync(pressureFile(container), "utf8"))?.[1]);
}

function alertsIn(file: string): Record<string, unknown>[] {
  return lines({ stdout: readFileSync(file, "utf8") }).filter(({ type }) => type === "psi");
}

/** A window of 2 s needs no CAP_SYS_RESOURCE. */
const OFTEN = "some:cpu:100ms/2s";

/**
 * Who watches, and for what. In a user namespace of its own a caller has CAP_SYS_RESOURCE, whatever that of the tests has: other code of the
 * kernel watches then.
 */
const WATCHERS: readonly (readonly [who: string, wrapper: readonly string[], threshold: string])[] = [
  ["any caller", [], OFTEN],
  ["a caller with CAP_SYS_RESOURCE", ["unshare", "--user", "--map-root-user"], "some:cpu:100ms/1s"],
];

for (const [who, wrapper, threshold] of WATCHERS)
  spec(
    `events --psi by ${who}, processes wait for a CPU: lines of type psi with the pressure, beside stats, until the container stops`,
    PSI,
    async (sandbox, context) => {
      const container = await busyContainer(sandbox, context);
      const output = sandbox.path("events");
      const flags = ["--interval", "100ms", "--psi", "full:io:2s/2s", "--psi", threshold];
      const result = await sandbox.invoke(["events", ...flags, container.id], {
        stdout: output,
        wrapper,
        whileRunning: async () => {
          await expect.poll(() => alertsIn(output).length, { timeout: 25_000 }).toBeGreaterThan(1);
          expect((await container.kill("KILL")).code).toBe(0);
        },
      });
      expect(result).toMatchObject({ code: 0, stderr: "" });
      const reported = lines(result);
      expect(new Set(reported.map(({ type }) => type))).toEqual(new Set(["stats", "psi"]));
      for (const { id, data } of alertsIn(output)) {
        expect([id, asObject(data).trigger]).toEqual([container.id, threshold]);
        const { some, full } = asObject(asObject(data).psi);
        for (const line of [some, full])
          expect(Object.keys(asObject(line)).sort()).toEqual(["avg10", "avg300", "avg60", "total"]);
        expect(asObject(some).total).toBeGreaterThan(50_000);
      }
    },
    NO_PSI,
  );

spec(
  "events --psi, the container is deleted by force meanwhile: exit 0",
  PSI,
  async (sandbox, context) => {
    const container = await busyContainer(sandbox, context);
    const output = sandbox.path("events");
    const flags = ["--interval", "10ms", "--psi", "full:memory:2s/2s", "--psi", "full:io:2s/2s"];
    const result = await sandbox.invoke(["events", ...flags, container.id], {
      stdout: output,
      whileRunning: async () => {
        await expect.poll(() => readFileSync(output, "utf8")).not.toBe("");
        expect((await container.delete("--force")).code).toBe(0);
      },
    });
    expect(result).toMatchObject({ code: 0, stderr: "" });
  },
  NO_PSI,
);

spec(
  "events --psi, there was pressure before: no line for it, though the kernel takes it for new",
  PSI,
  async (sandbox, context) => {
    const container = await busyContainer(sandbox, context);
    await expect.poll(() => stall(container), { timeout: 25_000 }).toBeGreaterThan(2_500_000);
    rmSync(join(container.rootfs, "tmp/busy"));
    const output = sandbox.path("events");
    const logFile = sandbox.path("log");
    const isFalse = () =>
      existsSync(logFile) && readFileSync(logFile, "utf8").includes("a false event is left out");
    const command = ["--debug", "--log", logFile, "events", "--interval", "50ms", "--psi", "some:cpu:2s/2s"];
    const before = stall(container);
    const result = await sandbox.invoke([...command, container.id], {
      stdout: output,
      whileRunning: async () => {
        await expect.poll(() => readFileSync(output, "utf8")).not.toBe("");
        // The container's own small stalls have the kernel look at its triggers. It does so every 2 s.
        await expect
          .poll(isFalse, { timeout: 10_000 })
          .toBe(true)
          .catch(() => undefined);
        expect((await container.kill("KILL")).code).toBe(0);
      },
    });
    expect(result.code).toBe(0);
    if (!isFalse()) context.skip("this kernel does not take earlier pressure for new");
    // On a busy machine, the small stalls may have become real pressure.
    if (alertsIn(output).length > 0)
      expect(asTotal(alertsIn(output)[0]) - before).toBeGreaterThanOrEqual(1_000_000);
  },
  NO_PSI,
);

/** The total of a line of type psi, in microseconds. */
function asTotal(line: Record<string, unknown> | undefined): number {
  return Number(asObject(asObject(asObject(line?.data).psi).some).total);
}

spec(
  "events --psi, cgroup.pressure becomes 0: a warning, and events goes on; afterwards --psi is refused by name",
  PSI,
  async (sandbox, context) => {
    const container = await busyContainer(sandbox, context);
    const control = pressureFile(container, "cgroup.pressure");
    if (!existsSync(control)) context.skip("before Linux 6.1 there is no cgroup.pressure");
    const output = sandbox.path("events");
    const result = await sandbox.invoke(
      ["events", "--interval", "50ms", "--psi", "full:io:2s/2s", container.id],
      {
        stdout: output,
        whileRunning: async () => {
          await expect.poll(() => readFileSync(output, "utf8")).not.toBe("");
          writeFileSync(control, "0");
          const count = () => lines({ stdout: readFileSync(output, "utf8") }).length;
          const reached = count();
          await expect.poll(count).toBeGreaterThan(reached + 2);
          expectRefusal(
            await events(sandbox, container, "--psi", OFTEN),
            `--psi ${OFTEN}: /${container.id}/cpu.pressure: the cgroup does not count pressure: its cgroup.pressure is 0`,
          );
          expect((await container.kill("KILL")).code).toBe(0);
        },
      },
    );
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(
      /^\S+ level=warning msg="--psi full:io:2s\/2s: the kernel does not watch the pressure of container \S+ any more"\n$/,
    );
  },
  NO_PSI,
);

spec(
  "events --psi without CAP_SYS_RESOURCE, a window of 1s: an error that names the option and the capability",
  PSI,
  async (sandbox, context) => {
    skipWithout(context, "setpriv");
    const container = await busyContainer(sandbox, context);
    const result = await sandbox.invoke(["events", "--psi", "some:cpu:100ms/1s", container.id], {
      wrapper: ["setpriv", "--bounding-set", "-sys_resource"],
    });
    expectRefusal(result, /^runts: --psi some:cpu:100ms\/1s: .*CAP_SYS_RESOURCE/);
  },
  NO_PSI,
);

spec(
  "events --psi in the page of the example: prints what the page says",
  "examples/pressure",
  async (sandbox, context) => {
    sandbox.atEnd(async () => void (await sandbox.invoke(["delete", "--force", "web"])));
    await busyContainer(sandbox, context, async ({ bundle }) => {
      const run = ["run", "--detach", "--bundle", bundle, "web"];
      return succeed("run", await sandbox.invoke(run, { stdout: "/dev/null" }));
    });
    const stable = (text: string) => text.replace(/("(?:avg\d+|total)":)[\d.]+/g, "$1N");
    await checkReadme(sandbox, "pressure", { stable });
  },
  NO_PSI,
);

for (const [flags, words] of [
  [["--psi", "memory"], 'invalid value "memory" for flag -psi: must be some|full:cpu|memory|io:STALL/WINDOW'],
  [["--psi", "some:memory:1s/11s"], "for flag -psi: the window must be from 500ms to 10s"],
  [["--psi", "some:memory:2s/1s"], "for flag -psi: the stall must be from 1us to the window"],
  [["--psi", "some:memory:1s/2s", "--stats"], "--psi can't be used with --stats"],
] as const) {
  spec(
    `events ${flags.join(" ")}: error`,
    PSI,
    async (sandbox) => expectRefusal(await sandbox.invoke(["events", ...flags, "nobody"]), words),
    NO_PSI,
  );
}

spec(
  "events, stopped: error",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.container();
    await container.started();
    await container.until("stopped");
    for (const flags of [[], ["--stats"]])
      expectRefusal(await events(sandbox, container, ...flags), "is not running");
  },
  { crun: "has neither events nor --pidfd-socket" },
);

spec(
  "events, unknown id: error in the words that engines match",
  CLAUSE,
  async (sandbox) => {
    expectRefusal(await sandbox.invoke(["events", `${sandbox.tag}x`]), "does not exist");
  },
  { crun: "has neither events nor --pidfd-socket" },
);

for (const [interval, words] of [
  ["0", "duration interval must be greater than 0"],
  ["-5s", "duration interval must be greater than 0"],
  ["5", 'invalid value "5" for flag -interval'],
  ["fast", 'invalid value "fast" for flag -interval'],
] as const) {
  spec(
    `events --interval ${interval}: error`,
    CLAUSE,
    async (sandbox) => {
      const container = await running(sandbox);
      expectRefusal(await events(sandbox, container, "--interval", interval), words);
    },
    { crun: "has neither events nor --pidfd-socket" },
  );
}
