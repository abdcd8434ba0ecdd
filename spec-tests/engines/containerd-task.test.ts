import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { type Containerd, containerdTests } from "../harness/engines/containerd.ts";
import { which } from "../harness/runtime.ts";

const everyday = containerdTests();

/** Starts a task in the background for `body`, and removes it afterwards. */
async function withTask(
  engine: Containerd,
  command: readonly string[],
  body: (status: () => Promise<string>, pid: number) => Promise<void>,
): Promise<void> {
  expect(await engine.run(["--detach"], "task", ...command)).toMatchObject({ code: 0, stderr: "" });
  try {
    await body(
      async () => {
        const { stdout } = await engine.call("tasks", "ls");
        return /^task\s+\d+\s+(\w+)/m.exec(stdout)?.[1] ?? "none";
      },
      await engine.pid("task"),
    );
  } finally {
    await engine.remove("task");
  }
}

const SLEEP = ["sleep", "1000"];

everyday("task exec: output, errors and exit code", async (engine) => {
  await withTask(engine, SLEEP, async () => {
    const result = await engine.exec("task", "sh", "-c", "echo out; echo err >&2; exit 42");
    expect(result).toEqual({ code: 42, stdout: "out\n", stderr: "err\n" });
  });
});

everyday("task exec --tty: a terminal as stdio", async (engine) => {
  await withTask(engine, SLEEP, async () => {
    // ctr sets the terminal's size after the start, and complains if the process has ended by then.
    const script = "tty; until stty size 2>/dev/null | grep .; do sleep 0.05; done; exit 3";
    const words = ["tasks", "exec", "--exec-id", "terminal", "--tty", "task", "sh", "-c", script];
    const { code, stdout } = await engine.onTerminal(...words);
    expect({ code, lines: stdout.trim().split(/\s*\n/) }).toEqual({
      code: 3,
      lines: ["/dev/pts/0", "30 90"],
    });
  });
});

everyday("task exec --user, --cwd: applied", async (engine) => {
  await withTask(engine, SLEEP, async () => {
    const words = [
      "--exec-id",
      "told",
      "--user",
      "1000:1000",
      "--cwd",
      "/var",
      "task",
      "sh",
      "-c",
      "id -u; pwd",
    ];
    expect((await engine.call("tasks", "exec", ...words)).stdout).toBe("1000\n/var\n");
  });
});

everyday("task exec --detach, ps: the process keeps running and is listed", async (engine) => {
  await withTask(engine, SLEEP, async () => {
    const words = ["--exec-id", "background", "--detach", "task", "sleep", "999"];
    expect((await engine.call("tasks", "exec", ...words)).code).toBe(0);
    const { stdout } = await engine.call("tasks", "ps", "task");
    expect(stdout).toMatch(/exec_id:"background"/);
    expect((await engine.exec("task", "ps", "-o", "args")).stdout).toContain("sleep 999\n");
  });
});

everyday("task exec, command not found: error with the runtime's reason", async (engine) => {
  await withTask(engine, SLEEP, async () => {
    const result = await engine.exec("task", "no-such-command");
    expect(result.code).not.toBe(0);
    expect(result.stderr).toContain('exec: "no-such-command": executable file not found in $PATH');
  });
});

everyday("task kill with a signal: the program gets it, and ctr returns its exit code", async (engine) => {
  const script = "trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done";
  const run = engine.run(["--rm"], "signalled", "sh", "-c", script);
  const caught = async (): Promise<string> => {
    const pid = await engine.pid("signalled");
    return pid > 0 ? readFileSync(`/proc/${pid}/status`, "utf8") : "";
  };
  await expect.poll(caught).toMatch(/^SigCgt:\t[0-9a-f]{13}2[0-9a-f]{2}$/m);
  expect((await engine.call("tasks", "kill", "--signal", "SIGUSR1", "signalled")).code).toBe(0);
  expect(await run).toEqual({ code: 9, stdout: "ready\n", stderr: "" });
});

everyday("task kill --all: ends every process", async (engine) => {
  await withTask(engine, ["sh", "-c", "sleep 999 & sleep 998 & wait"], async (status) => {
    expect((await engine.call("tasks", "kill", "--all", "--signal", "SIGKILL", "task")).code).toBe(0);
    await expect.poll(status).toBe("STOPPED");
  });
});

everyday("task pause, resume: frozen, then continues", async (engine) => {
  await withTask(
    engine,
    ["sh", "-c", "while :; do echo x >> /ticks; sleep 0.02; done"],
    async (status, pid) => {
      const ticks = async (): Promise<number> => readFileSync(`/proc/${pid}/root/ticks`, "utf8").length;
      await expect.poll(ticks).toBeGreaterThan(0);
      expect(await engine.call("tasks", "pause", "task")).toMatchObject({ code: 0, stderr: "" });
      expect(await status()).toBe("PAUSED");
      const counted = await ticks();
      expect(await ticks()).toBe(counted);
      expect(await engine.call("tasks", "resume", "task")).toMatchObject({ code: 0, stderr: "" });
      expect(await status()).toBe("RUNNING");
      await expect.poll(ticks).toBeGreaterThan(counted);
    },
  );
});

everyday("task metrics: those of the container's cgroup v2 controllers", async (engine) => {
  await withTask(engine, SLEEP, async () => {
    const { code, stdout } = await engine.call("tasks", "metrics", "--format", "json", "task");
    expect(code).toBe(0);
    const metrics: Record<string, unknown> = JSON.parse(stdout);
    const folder = `/sys/fs/cgroup/${engine.namespace}/task`;
    const controllers = readFileSync(`${folder}/cgroup.controllers`, "utf8").trim().split(" ");
    expect(controllers).toEqual(readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").trim().split(" "));
    if (controllers.includes("hugetlb"))
      expect(metrics.hugetlb).toContainEqual(expect.objectContaining({ pagesize: "2MB" }));
    if (controllers.includes("pids")) expect(metrics.pids).toMatchObject({ current: 1 });
    if (controllers.includes("memory")) expect(metrics.memory).toMatchObject({ usage: expect.any(Number) });
  });
});

everyday("container create, task start, container rm: a whole life cycle", async (engine) => {
  const created = await engine.create("steps", "sh", "-c", "echo step; exit 5");
  expect(created).toMatchObject({ code: 0, stderr: "" });
  expect(await engine.call("tasks", "start", "steps")).toEqual({ code: 5, stdout: "step\n", stderr: "" });
  expect((await engine.call("containers", "rm", "steps")).code).toBe(0);
});

everyday("task rm --force, a running task: removed", async (engine) => {
  await engine.run(["--detach"], "busy", ...SLEEP);
  expect((await engine.call("tasks", "rm", "--force", "busy")).code).toBe(0);
  expect((await engine.call("containers", "rm", "busy")).code).toBe(0);
});

everyday("run, id of a running container: refused, and that one keeps running", async (engine) => {
  await withTask(engine, SLEEP, async (status) => {
    expect((await engine.run(["--detach"], "task", ...SLEEP)).stderr).toMatch(/already exists/);
    expect(await status()).toBe("RUNNING");
  });
});

everyday("containerd restarted: the task keeps running, exec works", async (engine) => {
  await withTask(engine, SLEEP, async (status) => {
    await engine.restart();
    expect(await status()).toBe("RUNNING");
    expect((await engine.exec("task", "echo", "still")).stdout).toBe("still\n");
  });
});

everyday("containers checkpoint, restore: the program continues where it was", async (engine, context) => {
  if (which("criu") === undefined) return context.skip("criu is not installed: apt-get install criu");
  const script = "i=0; while :; do i=$((i+1)); echo $i > /next; mv /next /count; sleep 0.02; done";
  const count = async (id: string): Promise<number> =>
    Number((await engine.exec(id, "cat", "/count")).stdout);
  const image = "localhost/checkpoint:1";
  let before = 0;
  await withTask(engine, ["sh", "-c", script], async () => {
    await expect.poll(() => count("task")).toBeGreaterThan(20);
    before = await count("task");
    const flags = ["--rw", "--image", "--task"];
    expect(await engine.call("containers", "checkpoint", ...flags, "task", image)).toMatchObject({ code: 0 });
  });
  expect(await engine.call("containers", "restore", "--rw", "--live", "restored", image)).toMatchObject({
    code: 0,
  });
  expect(await count("restored")).toBeGreaterThanOrEqual(before);
  await engine.remove("restored");
  await engine.call("images", "rm", image);
});
