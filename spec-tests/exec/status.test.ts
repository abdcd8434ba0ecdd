import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { expectInitAlone, running } from "../harness/exec.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const OTHER_WORDS = "exec has words of its own, or other exit codes, for the same errors";
const NO_SUCH_OPTIONS = "has no --additional-gids and no --ignore-paused";

const CLAUSE = "practice of runc and crun";

spec("exec, created: runs, and the container can still be started", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("echo started");
  await container.created();
  expect(await container.exec(["echo", "executed"])).toEqual({ code: 0, stdout: "executed\n", stderr: "" });
  expect((await container.state()).status).toBe("created");
  expect((await container.start()).code).toBe(0);
  await container.until("stopped");
  expect(container.printed()).toBe("started");
});

spec(
  "exec, stopped: error in runc's words",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.container();
    await container.started();
    await container.until("stopped");
    const result = await container.exec(["true"]);
    expectRefusal(result, "cannot exec in a stopped container", 255);
    expect(result.code).toBe(255);
  },
  { crun: OTHER_WORDS },
);

spec(
  "exec, unknown id: error in the words that engines match",
  CLAUSE,
  async (sandbox) => {
    const result = await sandbox.invoke(["exec", `${sandbox.tag}none`, "true"]);
    expectRefusal(result, "does not exist", 255);
    expect(result.code).toBe(255);
  },
  { crun: OTHER_WORDS },
);

spec("exec with id ..: error", CLAUSE, async (sandbox) => {
  expectRefusal(
    await sandbox.invoke(["exec", "..", "true"]),
    inOurWords('invalid container ID format: ".."'),
    255,
  );
});

spec(
  "exec, paused: error in runc's words",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    expect((await sandbox.invoke(["pause", container.id])).code).toBe(0);
    expectRefusal(await container.exec(["true"]), "cannot exec in a paused container", 255);
    await expectInitAlone(sandbox);
  },
  { crun: OTHER_WORDS },
);

spec(
  "exec --ignore-paused, paused: runs after resume",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    expect((await sandbox.invoke(["pause", container.id])).code).toBe(0);
    let resumed = false;
    const result = await container.exec(["echo", "ran"], {
      flags: ["--ignore-paused"],
      whileRunning: async () => {
        await sleep(400);
        resumed = (await sandbox.invoke(["resume", container.id])).code === 0;
      },
    });
    expect(resumed).toBe(true);
    expect(result).toMatchObject({ code: 0, stdout: "ran\n" });
  },
  { crun: NO_SUCH_OPTIONS },
);

spec(
  "exec --ignore-paused, running: runs",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const result = await container.exec(["echo", "ran"], { flags: ["--ignore-paused"] });
    expect(result).toMatchObject({ code: 0, stdout: "ran\n" });
  },
  { crun: NO_SUCH_OPTIONS },
);

spec("10 execs at once: each gets its own output and exit code", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const numbers = [...Array(10).keys()];
  const results = await Promise.all(
    numbers.map((number) => container.exec(["sh", "-c", `echo ${number}; exit ${number}`])),
  );
  expect(results).toEqual(numbers.map((code) => ({ code, stdout: `${code}\n`, stderr: "" })));
});

spec("execs while the container is deleted by force: no hang, nothing left", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const execs = [...Array(6).keys()].map(() => container.exec(["sleep", "1000"]));
  await sleep(60);
  const deleted = await container.delete("--force");
  for (const { code } of await Promise.all(execs)) expect([137, 255]).toContain(code);
  expect(deleted.code).toBe(0);
  expect(await sandbox.traces()).toEqual([]);
});

spec(
  "delete --force with a detached exec, shared pid namespace: nothing left",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("exec sleep 1000", (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
    });
    await container.started();
    expect((await container.exec(["sleep", "1000"], { flags: ["--detach"] })).code).toBe(0);
    expect((await container.delete("--force")).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
  },
  {
    runc: {
      reason: "processes that outlive init in a shared pid namespace keep the cgroup busy in 1.1",
      before: "1.2",
    },
  },
);
