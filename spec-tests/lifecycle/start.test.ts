import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { expectRefusal } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

spec(
  "start: the program runs, exec done before start returns",
  "runtime.md, Start; state running",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["sleep", "1000"];
    });
    await container.started();
    const { pid, status } = await container.state();
    expect(status).toBe("running");
    expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toBe("sleep\0" + "1000\0");
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
    expectRefusal(second);
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
    expectRefusal(await container.start());
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
    expectRefusal(await container.start());
  },
);

spec(
  "create or start without process: error",
  "runtime.md, Start: MUST error if process is not set",
  async (sandbox) => {
    const container = sandbox.container();
    const { process: _, ...rest } = container.config;
    container.writeConfig(JSON.stringify(rest));
    await container.create();
    const started = await container.start();
    expect(started.code).not.toBe(0);
  },
);
