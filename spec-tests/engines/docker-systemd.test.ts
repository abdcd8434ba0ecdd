import { expect } from "vitest";
import { IMAGE, openDocker } from "../harness/engines/docker.ts";
import { engineTests } from "../harness/engines/engine.ts";
import { Machine } from "../harness/systemd/systemd.ts";

/** dockerd in its most common setup: a service of systemd, which makes the cgroups. */
const check = engineTests({
  who: "docker with systemd",
  programs: { dockerd: "docker.io", docker: "docker-cli", "dbus-daemon": "dbus" },
  open: async () => {
    const machine = await Machine.boot();
    try {
      const settings = {
        "exec-opts": ["native.cgroupdriver=systemd"],
        "cgroup-parent": "system.slice",
      };
      const docker = await openDocker({ settings, machine });
      const close = async (): Promise<void> => {
        await docker.close();
        await machine.stop();
      };
      return { ...docker, machine, close };
    } catch (error) {
      await machine.stop();
      throw error;
    }
  },
});

check("info: shows the systemd cgroup driver", async (docker) => {
  const { stdout } = await docker.call(
    "info",
    "--format",
    "{{.CgroupDriver}} {{.CgroupVersion}} {{.DefaultRuntime}}",
  );
  expect(stdout).toBe("systemd 2 tested\n");
});

check(
  "run, exec, pause, update, kill: in a systemd scope, which is removed with the container",
  async (docker) => {
    const { machine } = docker;
    const started = await docker.call(
      "run",
      "--detach",
      "--name",
      "it",
      "--cgroupns",
      "host",
      IMAGE,
      "sleep",
      "1000",
    );
    expect(started.code, started.stderr).toBe(0);
    const unit = `docker-${started.stdout.trim()}.scope`;
    expect(machine.show(unit, "ActiveState", "Slice", "Delegate")).toEqual({
      ActiveState: "active",
      Slice: "system.slice",
      Delegate: "yes",
    });
    const inside = await docker.call("exec", "it", "grep", "^0::", "/proc/self/cgroup");
    expect(inside.stdout).toBe(`0::/system.slice/${unit}\n`);
    expect((await docker.call("pause", "it")).code).toBe(0);
    expect((await docker.call("unpause", "it")).code).toBe(0);
    expect((await docker.call("update", "--restart", "no", "it")).code).toBe(0);
    expect((await docker.call("stats", "--no-stream", "it")).code).toBe(0);
    await docker.call("kill", "it");
    expect((await docker.call("wait", "it")).stdout).toBe("137\n");
    await docker.call("rm", "it");
    await expect.poll(() => machine.units("docker-*")).toEqual([]);
  },
);

check("run --rm and --restart: the scope is made anew for each run", async (docker) => {
  expect(await docker.call("run", "--rm", IMAGE, "sh", "-c", "echo hello; exit 4")).toEqual({
    code: 4,
    stdout: "hello\n",
    stderr: "",
  });
  await docker.call(
    "run",
    "--detach",
    "--name",
    "it",
    "--restart",
    "on-failure:2",
    IMAGE,
    "sh",
    "-c",
    "echo again; exit 3",
  );
  const state = async () =>
    (await docker.call("inspect", "--format", "{{.State.Status}} {{.RestartCount}}", "it")).stdout;
  await expect.poll(state, { timeout: 30_000 }).toBe("exited 2\n");
  expect((await docker.call("logs", "it")).stdout).toBe("again\nagain\nagain\n");
  await docker.call("rm", "it");
  await expect.poll(() => docker.machine.units("docker-*")).toEqual([]);
});
