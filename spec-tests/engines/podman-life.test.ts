import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { IMAGE, podmanTests } from "../harness/engines/podman.ts";

const everyday = podmanTests();

everyday("run --detach, logs, stop, rm: a whole life cycle", async (engine) => {
  const started = await engine.call(
    "run",
    "--detach",
    "--name",
    "life",
    IMAGE,
    "sh",
    "-c",
    "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done",
  );
  expect(started.code).toBe(0);
  await expect.poll(async () => (await engine.call("logs", "life")).stdout).toBe("up\n");
  expect((await engine.call("stop", "--time", "10", "life")).code).toBe(0);
  const inspected = await engine.call("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "life");
  expect(inspected.stdout).toBe("exited 3\n");
  expect((await engine.call("rm", "life")).code).toBe(0);
});

everyday("stop, program ignores SIGTERM: killed", async (engine) => {
  await engine.call(
    "run",
    "--detach",
    "--name",
    "deaf",
    IMAGE,
    "sh",
    "-c",
    "trap '' TERM; while :; do sleep 0.05; done",
  );
  expect((await engine.call("stop", "--time", "1", "deaf")).code).toBe(0);
  expect((await engine.call("inspect", "--format", "{{.State.ExitCode}}", "deaf")).stdout).toBe("137\n");
  expect((await engine.call("rm", "deaf")).code).toBe(0);
});

everyday("rm --force, running container: removed", async (engine) => {
  await engine.call("run", "--detach", "--name", "busy", IMAGE, "sleep", "1000");
  expect((await engine.call("rm", "--force", "--time", "0", "busy")).code).toBe(0);
});

everyday("create, start --attach, restart, wait: work", async (engine) => {
  await engine.call("create", "--name", "steps", IMAGE, "sh", "-c", "echo step; exit 5");
  const attached = await engine.call("start", "--attach", "steps");
  expect(attached).toMatchObject({ code: 5, stdout: "step\n" });
  expect((await engine.call("start", "steps")).code).toBe(0);
  expect((await engine.call("wait", "steps")).stdout).toBe("5\n");
  expect((await engine.call("rm", "steps")).code).toBe(0);
});

everyday("pause, unpause: frozen, then continues", async (engine) => {
  const loop = "while :; do echo tick; sleep 0.05; done";
  const status = async () =>
    (await engine.call("inspect", "--format", "{{.State.Status}}", "paused")).stdout.trim();
  const logs = async () => (await engine.call("logs", "paused")).stdout.length;
  await engine.call("run", "--detach", "--name", "paused", IMAGE, "sh", "-c", loop);
  await expect.poll(logs).toBeGreaterThan(0);
  expect(await engine.call("pause", "paused")).toMatchObject({ code: 0, stderr: "" });
  expect(await status()).toBe("paused");
  const printed = await logs();
  expect(await logs()).toBe(printed);
  expect(await engine.call("unpause", "paused")).toMatchObject({ code: 0, stderr: "" });
  expect(await status()).toBe("running");
  await expect.poll(logs).toBeGreaterThan(printed);
  expect((await engine.call("rm", "--force", "--time", "0", "paused")).code).toBe(0);
});

everyday("rm --force, paused container: removed", async (engine) => {
  await engine.call("run", "--detach", "--name", "frozen", IMAGE, "sleep", "1000");
  expect((await engine.call("pause", "frozen")).code).toBe(0);
  expect((await engine.call("rm", "--force", "--time", "0", "frozen")).code).toBe(0);
});

everyday("top: lists the processes of the container", async (engine) => {
  await engine.call("run", "--detach", "--name", "busy", IMAGE, "sh", "-c", "sleep 1000 & sleep 1000; :");
  const top = async () =>
    (await engine.call("top", "busy", "pid", "args")).stdout.split("\n").map((line) => line.trim());
  await expect.poll(async () => (await top()).filter((line) => line.endsWith("sleep 1000"))).toHaveLength(2);
  expect((await top())[0]).toMatch(/^PID +COMMAND/);
  expect((await engine.call("rm", "--force", "--time", "0", "busy")).code).toBe(0);
});

everyday("kill --signal: the program gets the signal", async (engine) => {
  await engine.call(
    "run",
    "--detach",
    "--name",
    "signalled",
    IMAGE,
    "sh",
    "-c",
    "trap 'exit 9' USR1; echo up; while :; do sleep 0.05; done",
  );
  // Init of a pid namespace gets only signals for which it has a handler (pid_namespaces(7)).
  await expect.poll(async () => (await engine.call("logs", "signalled")).stdout).toBe("up\n");
  expect((await engine.call("kill", "--signal", "USR1", "signalled")).code).toBe(0);
  expect((await engine.call("wait", "signalled")).stdout).toBe("9\n");
  expect((await engine.call("rm", "signalled")).code).toBe(0);
});

everyday(
  "update --pids-limit: changed, or error that names the missing controller",
  async (engine) => {
    const started = await engine.call("run", "--detach", "--name", "host", IMAGE, "sleep", "1000");
    expect(started).toMatchObject({ code: 0, stderr: "" });
    try {
      expect(await engine.call("update", "--pids-limit", "-1", "host")).toMatchObject({ code: 0 });
      const limited = await engine.call("update", "--pids-limit", "50", "host");
      const controllers = readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").trim().split(" ");
      if (controllers.includes("pids")) expect(limited).toMatchObject({ code: 0 });
      else expect(limited.stderr).toMatch(/the pids controller is not available/);
      expect((await engine.call("exec", "host", "echo", "hello")).stdout).toBe("hello\n");
    } finally {
      await engine.call("rm", "--force", "--time", "0", "host");
    }
  },
  {
    crun: "writes pids.max although no limit is asked for, without a pids controller",
    runc: "the error names a file of the cgroup, but no controller",
  },
);
