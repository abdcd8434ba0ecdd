import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "runtime.md, Delete";

spec(
  "delete, stopped: everything that create made is gone",
  `${CLAUSE}: MUST delete the resources made by create`,
  async (sandbox) => {
    const container = sandbox.container();
    await container.started();
    await container.until("stopped");
    expect(await container.delete()).toMatchObject({ code: 0, stdout: "", stderr: "" });
    expect(await sandbox.traces()).toEqual([]);
    expectRefusal(await container.stateCommand(), inOurWords("container does not exist"));
  },
);

spec(
  "delete, running: error, and the container runs on",
  `${CLAUSE}: MUST error if not stopped`,
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000");
    await container.started();
    const before = (await container.stateCommand()).stdout;
    const result = await container.delete();
    expectRefusal(result, inOurWords("that is not stopped: running"));
    expect((await container.stateCommand()).stdout).toBe(before);
  },
);

spec("delete, created: killed and deleted", "practice: containerd's shim depends on it", async (sandbox) => {
  const container = sandbox.container();
  await container.created();
  expect((await container.delete()).code).toBe(0);
  expect(await sandbox.traces()).toEqual([]);
});

for (const status of ["created", "running", "stopped"] as const) {
  spec(`delete --force, ${status}: killed and deleted`, "practice: delete --force", async (sandbox) => {
    const container = sandbox.shell(status === "stopped" ? "true" : "sleep 1000 & sleep 1000");
    await container.created();
    if (status !== "created") await container.start();
    await container.until(status);
    expect((await container.delete("--force")).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
  });
}

spec(
  "delete, unknown id: error in the words that engines match",
  `${CLAUSE}: MUST error; engines: does not exist`,
  async (sandbox) => {
    const result = await sandbox.invoke(["delete", `${sandbox.tag}none`]);
    expectRefusal(result, "does not exist");
  },
  { crun: "words the same errors differently" },
);

spec("delete --force, unknown id: success", "practice: engines clean up with it", async (sandbox) => {
  expect((await sandbox.invoke(["delete", "--force", `${sandbox.tag}none`])).code).toBe(0);
});

spec("delete without an id: error", `${CLAUSE}: MUST error if the id is not given`, async (sandbox) => {
  expect((await sandbox.invoke(["delete"])).code).not.toBe(0);
});

spec("delete: the id can be used again", `${CLAUSE}: the id may be reused`, async (sandbox) => {
  const container = sandbox.shell("echo again");
  await container.created();
  await container.delete();
  expect(await container.output()).toBe("again\n");
});

spec("delete: the bundle stays as it was", `${CLAUSE}: only what create made is deleted`, async (sandbox) => {
  const container = sandbox.shell("touch /kept", (config) => {
    config.root.readonly = false;
  });
  await container.started();
  await container.until("stopped");
  await container.delete();
  expect(existsSync(`${container.rootfs}/kept`)).toBe(true);
  expect(existsSync(`${container.bundle}/config.json`)).toBe(true);
});

spec(
  "delete, config.json overwritten: no error",
  "practice: delete needs only the state",
  async (sandbox) => {
    const container = sandbox.container();
    await container.started();
    await container.until("stopped");
    container.writeConfig("not JSON");
    expect((await container.delete()).code).toBe(0);
  },
);

spec(
  "delete, shared pid namespace: processes that outlive init are killed",
  "practice: leftovers in the cgroup",
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000 &", (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
    });
    await container.started();
    await container.until("stopped");
    expect(sandbox.processes()).toHaveLength(1);
    expect((await container.delete()).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
  },
  {
    runc: {
      reason:
        "processes that outlive init in a shared pid namespace stay (opencontainers/runc#4102, solved in 1.2)",
      before: "1.2",
    },
  },
);

spec(
  "delete --force, a state folder without a record: removed",
  "practice of runc",
  async (sandbox) => {
    const id = `${sandbox.tag}half`;
    mkdirSync(join(sandbox.root, id), { recursive: true });
    expectRefusal(await sandbox.invoke(["delete", id]), "does not exist");
    expect((await sandbox.invoke(["delete", "--force", id])).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "delete without --force removes it, too" },
);
