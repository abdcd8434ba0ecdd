import { existsSync } from "node:fs";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { startUnderSubreaper } from "../harness/helpers/subreaper.ts";
import { parseObject } from "../harness/json.ts";
import { spec } from "../harness/spec.ts";

async function fields(container: Container): Promise<Record<string, unknown>> {
  const result = await container.stateCommand();
  expect(result.stderr).toBe("");
  return parseObject(result.stdout);
}

const CLAUSE = "runtime.md, State";

spec("state of a created container: all required properties", CLAUSE, async (sandbox) => {
  const container = sandbox.container((config) => {
    config.annotations = { "com.example.key": "value" };
  });
  await container.created();
  const state = await fields(container);
  expect(state).toMatchObject({
    id: container.id,
    status: "created",
    bundle: container.bundle,
    annotations: { "com.example.key": "value" },
  });
  expect(state.ociVersion).toMatch(/^1\.[0-9]+\.[0-9]+/);
  expect(existsSync(`/proc/${String(state.pid)}`)).toBe(true);
});

spec("state of a running container: running, with the same pid", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("sleep 1000");
  await container.created();
  const { pid } = await container.state();
  await container.start();
  expect(await fields(container)).toMatchObject({
    id: container.id,
    status: "running",
    pid,
    bundle: container.bundle,
  });
});

spec("state of a stopped container: stopped, pid 0", CLAUSE, async (sandbox) => {
  const container = sandbox.container();
  await container.started();
  await container.until("stopped");
  expect(await fields(container)).toMatchObject({
    id: container.id,
    status: "stopped",
    pid: 0,
    bundle: container.bundle,
  });
});

spec(
  "state, init ended but not reaped: stopped",
  "runtime-tools: also while the zombie is unreaped",
  async (sandbox) => {
    const container = sandbox.container();
    const reaper = startUnderSubreaper(sandbox, container, { keepZombie: true });
    await reaper.report();
    expect((await container.state()).status).toBe("stopped");
    reaper.release();
    expect(await reaper.report()).toMatchObject({ exit: 0 });
  },
);

spec(
  "state: has rootfs, created and owner, which engines read",
  "engines: rootfs, created, owner",
  async (sandbox) => {
    const container = sandbox.container();
    await container.created();
    const state = await fields(container);
    expect(state.rootfs).toBe(container.rootfs);
    expect(state.created).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/);
    expect(state).toHaveProperty("owner");
  },
  { crun: "prints rootfs as root.path has it, relative to the bundle" },
);

spec(
  "state: JSON with an indent of two and a newline at the end",
  "promise: output ends with a newline; practice of runc: the indent",
  async (sandbox) => {
    const container = sandbox.container();
    await container.created();
    const { stdout } = await container.stateCommand();
    expect(stdout).toMatch(/^\{\n {2}"ociVersion": ?"[^"]+",\n {2}"id": ?"[^"]+",\n[\s\S]*\n\}\n$/);
  },
  {
    crun: { reason: "indents by four, and prints an empty line at the end", before: "1.28" },
    runc: "prints no newline at the end",
  },
);

spec(
  "state, unknown id: error in the words that engines match",
  `${CLAUSE}: MUST error; engines: does not exist`,
  async (sandbox) => {
    const result = await sandbox.invoke(["state", `${sandbox.tag}none`]);
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toContain("does not exist");
  },
  { crun: { reason: "words the same errors differently", before: "1.28" } },
);

spec("state without an id: error", `${CLAUSE}: MUST error if the id is not given`, async (sandbox) => {
  expect((await sandbox.invoke(["state"])).code).not.toBe(0);
});
