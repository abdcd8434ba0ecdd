import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { type Container, succeed } from "../harness/container.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

spec(
  "start: the program runs, and is executed before start returns",
  "runtime.md, Start; state running",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["sleep", "1000"];
    });
    await container.started();
    const { pid, status } = await container.state();
    expect(status).toBe("running");
    const command = () => readFileSync(`/proc/${pid}/cmdline`, "utf8");
    // Towards the end of execve(2), cmdline is empty for a moment.
    await expect.poll(command).not.toBe("");
    expect(command()).toBe("sleep\0" + "1000\0");
  },
);

spec(
  "start, already running: error, and nothing changes",
  "runtime.md, Start: MUST error if not created",
  async (sandbox) => {
    const container = sandbox.shell("echo once; sleep 1000");
    const { stdout } = await container.started();
    expect(stdout).toBe("");
    const before = (await container.stateCommand()).stdout;
    const second = await container.start();
    expectRefusal(second, inOurWords("cannot start an already running container"));
    expect((await container.stateCommand()).stdout).toBe(before);
  },
);

spec(
  "start, already stopped: error, and nothing changes",
  "runtime.md, Start: MUST error if not created",
  async (sandbox) => {
    const container = sandbox.container();
    await container.started();
    await container.until("stopped");
    const before = (await container.stateCommand()).stdout;
    expectRefusal(await container.start(), inOurWords("cannot start a container that has stopped"));
    expect((await container.stateCommand()).stdout).toBe(before);
  },
);

spec(
  "start, unknown id: error in the words that engines match",
  "runtime.md, Start; engines: does not exist",
  async (sandbox) => {
    const result = await sandbox.invoke(["start", `${sandbox.tag}none`]);
    expectRefusal(result, "does not exist");
  },
  { crun: { reason: "words the same errors differently", before: "1.28" } },
);

spec(
  "start without an id: error",
  "runtime.md, Start: MUST error if the id is not given",
  async (sandbox) => {
    expect((await sandbox.invoke(["start"])).code).not.toBe(0);
  },
);

spec(
  "start, killed while created: error, never a hang",
  "runtime.md, Start: MUST error if not created",
  async (sandbox) => {
    const container = sandbox.container();
    await container.created();
    await container.kill("KILL");
    await container.until("stopped");
    expectRefusal(await container.start(), inOurWords("cannot start a container that has stopped"));
  },
);

const NO_PROCESS =
  "config.md, Process: REQUIRED when start is called; runtime.md, Start: MUST error if process is not set";

function withoutProcess(sandbox: Sandbox): Container {
  const container = sandbox.container();
  const { process: _, ...rest } = container.config;
  container.writeConfig(JSON.stringify(rest));
  return container;
}

spec(
  "create without process: a container that start refuses and delete removes",
  NO_PROCESS,
  async (sandbox) => {
    const container = withoutProcess(sandbox);
    await container.created();
    const before = await container.state();
    expect(before.status).toBe("created");
    expectRefusal(await container.start(), inOurWords("/process: is required by start"));
    expect(await container.state()).toEqual(before);
    succeed("delete", await container.delete());
  },
  {
    crun: "start succeeds without a process, and the container ends",
    runc: "create refuses a config without process",
  },
);

spec("run without process: error that names it, nothing left", NO_PROCESS, async (sandbox) => {
  expectRefusal(await withoutProcess(sandbox).run(), inOurWords("/process: is required by start"));
  expect(await sandbox.traces()).toEqual([]);
});

spec(
  "create without process, then exec: runs in the container, as root, in /",
  NO_PROCESS,
  async (sandbox) => {
    const container = withoutProcess(sandbox);
    await container.created();
    const { stdout } = succeed("exec", await container.exec(["/bin/sh", "-c", "hostname; id -u; pwd"]));
    expect(stdout.trim().split("\n")).toEqual(["box", "0", "/"]);
  },
  {
    crun: { reason: "exec without --process crashes in a container that has none", before: "1.28" },
    runc: "create refuses a config without process",
  },
);
