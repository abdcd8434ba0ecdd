import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { running } from "../harness/exec.ts";
import { events, lines } from "../harness/helpers/events.ts";
import { asObject, parseObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const NEEDS_MEMORY_CONTROLLER = "events without --stats needs the memory controller";

const CLAUSE = "runc's events: types/events.go";

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
