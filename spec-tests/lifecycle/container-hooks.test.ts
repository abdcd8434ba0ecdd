import { readFileSync, readlinkSync } from "node:fs";
import { expect } from "vitest";
import type { Hook } from "../harness/config.ts";
import { mapNoRoot } from "../harness/host/user-namespace.ts";
import { parseObject } from "../harness/json.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const START_DOES_NOT_WAIT = "start waits neither for startContainer hooks nor for the execve";
const START_MAY_NOT_WAIT = {
  reason: "start may return before the startContainer hooks have run",
  sometimes: true,
  from: "1.2",
} as const;

const CLAUSE = "config.md, POSIX-platform Hooks";

/** A line of shell, run by the host's sh: before pivot_root, hooks see the host's files. */
function hostHook(script: string, changes: Partial<Hook> = {}): Hook {
  return { path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/usr/bin:/bin"], ...changes };
}

/** A line of shell, run by the container's busybox. */
function containerHook(script: string, changes: Partial<Hook> = {}): Hook {
  return { path: "/bin/busybox", args: ["sh", "-c", script], env: ["PATH=/bin"], ...changes };
}

spec(
  "createContainer: runs in create, in the container's namespaces, before pivot_root",
  `${CLAUSE}, CreateContainer: the path resolves in the runtime namespace`,
  async (sandbox) => {
    const out = sandbox.path("created");
    const script = `cat > ${out}.state; readlink /proc/self/ns/uts /proc/self/ns/mnt > ${out}`;
    const container = sandbox.shell("sleep 1000", (config) => {
      config.hooks = { createContainer: [hostHook(script)] };
    });
    await container.created();
    const { pid } = await container.state();
    const namespace = (type: string) => readlinkSync(`/proc/${pid}/ns/${type}`);
    expect(readFileSync(out, "utf8")).toBe(`${namespace("uts")}\n${namespace("mnt")}\n`);
    expect(parseObject(readFileSync(`${out}.state`, "utf8")).id).toBe(container.id);
  },
);

spec(
  "startContainer: runs in start, in the container, before the program",
  `${CLAUSE}, StartContainer: the path resolves in the container namespace`,
  async (sandbox) => {
    const container = sandbox.shell("cat /tmp/hook; sleep 1000", (config) => {
      config.root.readonly = false;
      config.hooks = {
        startContainer: [containerHook("cat > /tmp/state; hostname > /tmp/hook; pwd >> /tmp/hook")],
      };
      config.hostname = "inside";
    });
    await container.created();
    expect(() => container.readFile("tmp/hook")).toThrow();
    expect((await container.start()).code).toBe(0);
    expect(container.readFile("tmp/hook").split("\n")[0]).toBe("inside");
    expect(parseObject(container.readFile("tmp/state")).id).toBe(container.id);
    expect((await container.state()).status).toBe("running");
  },
  { crun: { reason: START_DOES_NOT_WAIT, sometimes: true }, runc: START_MAY_NOT_WAIT },
);

spec(
  "createContainer fails: create fails, the program never runs, nothing left",
  "runtime.md, Lifecycle step 5: MUST error, stop the container",
  async (sandbox) => {
    const container = sandbox.shell("echo ran > /tmp/ran", (config) => {
      config.hooks = { createContainer: [hostHook("echo words >&2; exit 3")] };
    });
    expectRefusal(await container.create(), inOurWords("/hooks/createContainer/0: "));
    expect((await container.stateCommand()).code).not.toBe(0);
  },
);

spec(
  "startContainer fails: start fails and the program never runs",
  "runtime.md, Lifecycle step 7: MUST error, stop the container",
  async (sandbox) => {
    const container = sandbox.shell("echo ran > /tmp/ran", (config) => {
      config.root.readonly = false;
      config.hooks = { startContainer: [containerHook("exit 4")] };
    });
    await container.created();
    expectRefusal(await container.start(), inOurWords("/hooks/startContainer/0: "));
    expect(() => container.readFile("tmp/ran")).toThrow();
    await container.delete("--force");
  },
  { both: START_DOES_NOT_WAIT },
);

spec(
  "startContainer over its timeout: killed, start fails",
  `${CLAUSE}: timeout is the seconds before aborting the hook`,
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000", (config) => {
      config.hooks = { startContainer: [containerHook("sleep 1000", { timeout: 1 })] };
    });
    await container.created();
    expectRefusal(await container.start(), inOurWords("/hooks/startContainer/0: "));
    await container.delete("--force");
  },
  { both: START_DOES_NOT_WAIT },
);

spec(
  "createContainer in a user namespace without root: runs as its first user and group",
  `${CLAUSE}: in the container namespace`,
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000", (config) => {
      mapNoRoot(config);
      config.hooks = { createContainer: [hostHook('test "$(id -u):$(id -g)" = 7:8')] };
    });
    await container.created();
  },
  { runc: "refuses a user namespace that maps no root" },
);

spec(
  "createContainer and startContainer in a user namespace: run as its root",
  `${CLAUSE}: in the container namespace`,
  async (sandbox) => {
    const container = sandbox.shell("cat /tmp/uid; sleep 1000", (config) => {
      config.root.readonly = false;
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 1000 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 1000 }];
      config.hooks = {
        createContainer: [hostHook("test $(id -u) = 0")],
        startContainer: [containerHook("id -u > /tmp/uid; grep CapEff /proc/self/status >> /tmp/uid")],
      };
    });
    await container.started();
    expect(container.readFile("tmp/uid")).toMatch(/^0\nCapEff:\t[0-9a-f]*[1-9a-f][0-9a-f]*\n$/);
  },
  { crun: { reason: START_DOES_NOT_WAIT, sometimes: true }, runc: START_MAY_NOT_WAIT },
);
