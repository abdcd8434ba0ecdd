import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const NO_LOCK = {
  reason: "no lock: operations on one container meet half-made or half-deleted state",
  sometimes: true,
} as const;
const CGROUP_NOT_FOUND = {
  reason: "a cgroup made before the state was saved, or while it is deleted, is not found again",
  sometimes: true,
} as const;

/** Fifty commands at once share two processors, and each takes as long as all of them. */
const PATIENT = { timeoutMs: 120_000 };
const LONG_MS = 300_000;

function repeat<T>(count: number, call: () => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, call));
}

spec(
  "create, 50 at once with the same id: exactly one succeeds, and its container works",
  "runtime.md, Create: the id MUST be unique",
  async (sandbox) => {
    const container = sandbox.shell("echo won > /tmp/result", (config) => {
      config.root.readonly = false;
    });
    const results = await repeat(50, () => container.create(PATIENT));
    expect(results.filter(({ code }) => code === 0)).toHaveLength(1);
    expect((await container.state()).status).toBe("created");
    expect(
      readFileSync(`/sys/fs/cgroup/${container.id}/cgroup.procs`, "utf8").trim().split("\n"),
    ).toHaveLength(1);
    expect((await container.start()).code).toBe(0);
    await container.until("stopped");
    expect(container.readFile("tmp/result")).toBe("won\n");
    expect((await container.delete()).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
  },
  { timeoutMs: LONG_MS },
);

spec(
  "create, 50 at once with different ids: all succeed",
  "runtime.md, Create",
  async (sandbox) => {
    const containers = Array.from({ length: 50 }, () => sandbox.shell("sleep 1000"));
    const results = await Promise.all(containers.map((container) => container.create(PATIENT)));
    expect(results.map(({ code }) => code)).toEqual(containers.map(() => 0));
    const deleted = await Promise.all(containers.map((container) => container.delete("--force")));
    expect(deleted.map(({ code }) => code)).toEqual(containers.map(() => 0));
  },
  { timeoutMs: LONG_MS },
);

spec(
  "start, 8 at once: exactly one succeeds, the program runs once",
  "runtime.md, Start: MUST error if not created",
  async (sandbox) => {
    const container = sandbox.shell("echo ran >> /tmp/result; sleep 1000", (config) => {
      config.root.readonly = false;
    });
    await container.created();
    const results = await repeat(8, () => container.start());
    expect(results.filter(({ code }) => code === 0)).toHaveLength(1);
    await expect.poll(() => container.readFile("tmp/result")).toBe("ran\n");
  },
);

spec("delete, 8 at once: at least one succeeds, nothing left", "runtime.md, Delete", async (sandbox) => {
  const container = sandbox.container();
  await container.started();
  await container.until("stopped");
  const results = await repeat(8, () => container.delete());
  expect(results.filter(({ code }) => code === 0).length).toBeGreaterThan(0);
  expect(await sandbox.traces()).toEqual([]);
});

spec(
  "delete --force, 8 at once: all succeed, nothing left",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000 & sleep 1000");
    await container.started();
    const results = await repeat(8, () => container.delete("--force"));
    expect(results.map(({ code }) => code)).toEqual(Array.from({ length: 8 }, () => 0));
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: NO_LOCK },
);

spec(
  "start, kill and delete at once: no hang, and delete --force cleans up",
  "promise: operations exclude each other",
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000");
    await container.created();
    const results = await Promise.all([
      container.start(),
      container.kill("KILL"),
      container.delete(),
      container.stateCommand(),
    ]);
    expect(results.map(({ code }) => code)).not.toContain(124);
    expect((await container.delete("--force")).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: NO_LOCK, runc: CGROUP_NOT_FOUND },
);

spec(
  "start and delete at once: one succeeds, the other fails with the reason",
  "promise: operations exclude each other",
  async (sandbox) => {
    for (let round = 0; round < 5; round += 1) {
      const container = sandbox.shell("sleep 1000");
      await container.created();
      const [started, deleted] = await Promise.all([container.start(), container.delete()]);
      // Started first, the container runs and can't be deleted without force; deleted first, there is none to start.
      expect([started.code, deleted.code].sort()).toEqual([0, 1]);
      if (IS_RUNTS) expect(started.stderr + deleted.stderr).toMatch(/does not exist|not stopped/);
      expect((await container.delete("--force")).code).toBe(0);
      expect(await sandbox.traces()).toEqual([]);
    }
  },
  { crun: NO_LOCK, runc: { reason: "operations do not exclude each other", sometimes: true } },
);

spec(
  "kill and delete while the program ends: no hang, no wrong status",
  "promise: operations exclude each other",
  async (sandbox) => {
    for (const delay of ["0", "0.01", "0.02", "0.03", "0.05"]) {
      const container = sandbox.shell(`sleep ${delay}`);
      await container.started();
      const results = await Promise.all([
        container.kill("TERM"),
        container.kill("KILL"),
        container.delete(),
        container.delete("--force"),
        container.stateCommand(),
      ]);
      for (const { code, stderr } of results) {
        if (code !== 0) expectError(code, stderr, /not running|not stopped|does not exist/);
      }
      expect(results[3]?.code).toBe(0);
      expect(await sandbox.traces()).toEqual([]);
    }
  },
  { crun: NO_LOCK },
);

/** Expects exit code 1, and under runts these words. */
function expectError(code: number, stderr: string, words: RegExp): void {
  expect(code).toBe(1);
  expect(stderr).toMatch(IS_RUNTS ? words : /./);
}

/** Makes a process with exactly this pid. Others fork as well, so that takes some attempts. Undefined if a process of theirs keeps the pid. */
async function takePid(sandbox: Sandbox, pid: number): Promise<ChildProcess | undefined> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    writeFileSync("/proc/sys/kernel/ns_last_pid", String(pid - 1));
    const child = spawn("sleep", ["1000"], { stdio: "ignore" });
    if (child.pid === pid) {
      sandbox.atEnd(() => void child.kill("SIGKILL"));
      return child;
    }
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }
  return undefined;
}

/** A container that has ended, and a process that has its pid now. */
async function replaced(
  sandbox: Sandbox,
): Promise<{ container: Container; pid: number; other: ChildProcess }> {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const container = sandbox.shell("sleep 1000");
    await container.started();
    const { pid } = await container.state();
    process.kill(pid, "SIGKILL");
    await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
    const other = await takePid(sandbox, pid);
    if (other !== undefined) return { container, pid, other };
  }
  throw new Error("no process could be given the pid of a container");
}

spec(
  "kill and delete of a container whose pid belongs to another process by now: that process lives on",
  "promise: no wrong target",
  async (sandbox, context) => {
    if (!existsSync("/proc/sys/kernel/ns_last_pid"))
      context.skip("the kernel does not let anybody choose a pid");
    const { container, pid, other } = await replaced(sandbox);
    expect((await container.state()).status).toBe("stopped");
    for (const signal of ["KILL", "TERM"]) {
      const { code, stderr } = await container.kill(signal);
      expectError(code, stderr, /not running/);
    }
    expect((await container.exec(["true"])).code).not.toBe(0);
    expect((await container.delete("--force")).code).toBe(0);
    expect([other.exitCode, other.signalCode]).toEqual([null, null]);
    expect(() => process.kill(pid, 0)).not.toThrow();
  },
);

spec(
  "state during create: the whole state, or an error that the container does not exist",
  "promise: state.json is renamed into place",
  async (sandbox) => {
    const container = sandbox.container();
    const creating = container.create();
    const states = await repeat(10, () => container.stateCommand());
    await creating;
    for (const { code, stdout, stderr } of states) {
      if (code === 0) expect(JSON.parse(stdout)).toMatchObject({ id: container.id });
      else expect(stderr).toContain("does not exist");
    }
  },
  { crun: NO_LOCK },
);

for (const afterMs of [0, 5, 10, 20, 40]) {
  spec(
    `create killed after ${afterMs} ms: delete --force removes everything`,
    "promise: a runtime killed at any instant",
    async (sandbox) => {
      const container = sandbox.container();
      await container.create({ timeoutMs: Math.max(afterMs, 1) });
      expect((await container.delete("--force")).code).toBe(0);
      expect(await sandbox.traces()).toEqual([]);
      expect((await container.create()).code).toBe(0);
    },
    { crun: NO_LOCK, runc: CGROUP_NOT_FOUND },
  );
}
