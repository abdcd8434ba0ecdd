import { rmSync, statSync } from "node:fs";
import { expect } from "vitest";
import type { Config, Seccomp } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { openSeccompAgent, type SeccompAgent } from "../harness/helpers/seccomp-agent.ts";
import { parseObject } from "../harness/json.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const STATE_SENT = 'the ociVersion of what it sends is always "0.2.0", and the state of an exec has no pid';
const CALLS_BEHIND_THE_FILTER =
  "sends the listener by system calls that the filter applies to, and refuses some such rules";
const NO_AGENT_NEEDED = "notify rules and metadata without an agent are not errors";

const CLAUSE = "config-linux.md, Seccomp";
const STATE_CLAUSE = "config-linux.md, The Container Process State";
const ARCHITECTURES = [process.arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64"];
const MKDIR = { names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY" };
/** The agent denies the first call, and allows the second. */
const SCRIPT = "mkdir /tmp/denied; mkdir /tmp/allowed && ls /tmp";

function notifying(seccomp: Partial<Seccomp>, noNewPrivileges = true): (config: Config) => void {
  return (config) => {
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: ARCHITECTURES,
      syscalls: [MKDIR],
      ...seccomp,
    };
    config.process.noNewPrivileges = noNewPrivileges;
    config.root.readonly = false;
  };
}

/** Waits for a connection, and returns its message. */
async function messageOf(agent: SeccompAgent, index = 0): Promise<Record<string, unknown>> {
  await expect.poll(() => agent.connections().length).toBe(index + 1);
  return parseObject(String(agent.connections()[index]?.message));
}

async function createAndStart(container: Container): Promise<void> {
  await container.started();
  await container.until("stopped");
}

for (const noNewPrivileges of [true, false]) {
  const situation = `noNewPrivileges ${noNewPrivileges}`;

  spec(`run with a notify rule, ${situation}: the agent answers the calls`, CLAUSE, async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    const container = sandbox.shell(SCRIPT, notifying({ listenerPath: agent.socket }, noNewPrivileges));
    const result = await container.run();
    expect(result.stderr).toMatch(/Operation not supported|Not supported/);
    expect(result.stdout).toBe("allowed\n");
    expect(agent.records.filter(({ call }) => call !== undefined).map((record) => record.answer)).toEqual([
      95, 0,
    ]);
  });

  spec(
    `create and start with a notify rule, ${situation}: the agent answers the calls`,
    CLAUSE,
    async (sandbox) => {
      const agent = await openSeccompAgent(sandbox);
      const container = sandbox.shell(SCRIPT, notifying({ listenerPath: agent.socket }, noNewPrivileges));
      await createAndStart(container);
      expect(container.printed()).toBe("allowed");
      expect(agent.connections()).toHaveLength(1);
    },
  );
}

spec(
  "run with a notify rule, as a user without capabilities: the agent answers the calls",
  CLAUSE,
  async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    const container = sandbox.shell(SCRIPT, (config) => {
      notifying({ listenerPath: agent.socket }, false)(config);
      config.process.capabilities = { bounding: [], effective: [], permitted: [] };
      config.process.user = { uid: 1000, gid: 1000 };
    });
    expect((await container.run()).stdout).toBe("allowed\n");
  },
);

spec(
  "start with a notify rule: one state and one descriptor on one connection, which is closed",
  STATE_CLAUSE,
  async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    const container = sandbox.shell("sleep 1000", (config) => {
      notifying({ listenerPath: agent.socket, listenerMetadata: 'opaque "data" é' })(config);
      config.annotations = { key: "value" };
    });
    await container.started();
    const message = await messageOf(agent);
    const { pid, ociVersion } = await container.state();
    expect(message).toMatchObject({
      ociVersion,
      fds: ["seccompFd"],
      pid,
      metadata: 'opaque "data" é',
      state: { ociVersion, id: container.id, pid, bundle: container.bundle, annotations: { key: "value" } },
    });
    expect(agent.connections()[0]).toMatchObject({ fds: 1, rest: 0, closed: true });
    if (IS_RUNTS) expect(message.state).toMatchObject({ status: "created" });
  },
  { crun: STATE_SENT },
);

spec("start with a notify rule, no metadata given: none is sent", STATE_CLAUSE, async (sandbox) => {
  const agent = await openSeccompAgent(sandbox);
  await sandbox.shell("true", notifying({ listenerPath: agent.socket })).output();
  expect((await messageOf(agent)).metadata ?? "").toBe("");
});

spec(
  "start with a notify rule and startContainer hooks: the agent answers the calls of the hooks, too",
  `${CLAUSE}; config.md, StartContainer hooks`,
  async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    const container = sandbox.shell("echo end; exec sleep 1000", (config) => {
      notifying({ listenerPath: agent.socket })(config);
      const args = ["sh", "-c", `(${SCRIPT}) > /tmp/printed; rmdir /tmp/allowed`];
      const hook = { path: "/bin/sh", args, env: ["PATH=/bin"] };
      config.hooks = { startContainer: [hook, hook] };
    });
    await container.started();
    await expect.poll(() => container.printed()).toBe("end");
    expect(container.readFile("tmp/printed")).toBe("allowed\nprinted\n");
    const answered = agent.records.filter(({ call }) => call !== undefined);
    expect(answered.map(({ answer }) => answer)).toEqual([95, 0, 95, 0]);
  },
);

spec(
  "exec with a notify rule: a connection of its own, with the pid of its process and a running state",
  STATE_CLAUSE,
  async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    const container = sandbox.shell("sleep 1000", notifying({ listenerPath: agent.socket }));
    await container.started();
    const pidFile = sandbox.path("exec.pid");
    const result = await container.exec(["sh", "-c", SCRIPT], { flags: ["--pid-file", pidFile] });
    expect(result.stdout).toBe("allowed\n");
    const message = await messageOf(agent, 1);
    const init = (await container.state()).pid;
    expect(message).toMatchObject({ fds: ["seccompFd"], state: { status: "running", pid: init } });
    expect(message.pid).not.toBe(init);
    const answered = agent.records.filter(({ call }) => call !== undefined);
    expect(answered.map(({ answer }) => answer)).toEqual([95, 0]);
    expect(agent.connections()[1]).toMatchObject({ fds: 1, closed: true });
  },
  { crun: STATE_SENT },
);

spec(
  "run with a notify rule and WAIT_KILLABLE_RECV: accepted",
  CLAUSE,
  async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    const flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"];
    const container = sandbox.shell(SCRIPT, notifying({ listenerPath: agent.socket, flags }));
    expect((await container.run()).stdout).toBe("allowed\n");
  },
  { runc: "the flag came with runc 1.2" },
);

spec(
  "run with a notify rule for all calls that a runtime might make after it has loaded the filter: the agent answers",
  "promise: no system call of runts comes between the filter and the execve",
  async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    const names = [..."execve sendmsg recvmsg sendto recvfrom read write close futex wait4".split(" ")];
    const container = sandbox.shell(
      SCRIPT,
      notifying({
        listenerPath: agent.socket,
        syscalls: [MKDIR, { names, action: "SCMP_ACT_NOTIFY" }],
      }),
    );
    expect((await container.run()).stdout).toBe("allowed\n");
  },
  { runc: CALLS_BEHIND_THE_FILTER },
);

spec(
  "run with notify as the default action: the agent answers all calls",
  "promise: no system call of runts comes between the filter and the execve",
  async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    const container = sandbox.shell(
      SCRIPT,
      notifying({ listenerPath: agent.socket, defaultAction: "SCMP_ACT_NOTIFY", syscalls: [] }),
    );
    expect((await container.run()).stdout).toBe("allowed\n");
  },
  { runc: CALLS_BEHIND_THE_FILTER },
);

spec(
  "run with a notify rule and a filter that denies sockets: the agent answers the calls",
  "promise: no system call of runts comes between the filter and the execve",
  async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    const names = "sendmsg recvmsg sendto recvfrom socket connect dup3 fcntl wait4 futex".split(" ");
    const container = sandbox.container((config) => {
      const denied = { names, action: "SCMP_ACT_KILL_PROCESS" };
      notifying({ listenerPath: agent.socket, syscalls: [MKDIR, denied] })(config);
      config.process.args = ["mkdir", "/tmp/allowed"];
    });
    expect(await container.output()).toBe("");
    expect(statSync(`${container.rootfs}/tmp/allowed`).isDirectory()).toBe(true);
  },
  { crun: "waits for its helper by a system call that the filter applies to", runc: CALLS_BEHIND_THE_FILTER },
);

spec(
  "run with a listenerPath and no notify rule: it is not connected",
  CLAUSE,
  async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    const syscalls = [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO" }];
    const container = sandbox.shell("echo ran", notifying({ listenerPath: agent.socket, syscalls }));
    expect(await container.output()).toBe("ran\n");
    const missing = sandbox.shell("echo ran", notifying({ listenerPath: "/nonexistent/agent", syscalls }));
    expect(await missing.output()).toBe("ran\n");
    expect(agent.connections()).toEqual([]);
  },
  { crun: "connects to the agent whether it is needed or not" },
);

async function expectCreateRefusal(
  sandbox: Sandbox,
  seccomp: Partial<Seccomp>,
  words: string,
): Promise<void> {
  const container = sandbox.shell("true", notifying(seccomp));
  expectRefusal(await container.create(), IS_RUNTS ? words : undefined);
  expect(await sandbox.traces()).toEqual([]);
}

spec(
  "create with a notify rule and no listenerPath: error, nothing left",
  CLAUSE,
  async (sandbox) => {
    await expectCreateRefusal(
      sandbox,
      {},
      "/linux/seccomp/syscalls/0/action: SCMP_ACT_NOTIFY needs listenerPath",
    );
  },
  { crun: NO_AGENT_NEEDED },
);

spec(
  "create with notify as default and no listenerPath: error, nothing left",
  CLAUSE,
  async (sandbox) => {
    const words = "/linux/seccomp/defaultAction: SCMP_ACT_NOTIFY needs listenerPath";
    await expectCreateRefusal(sandbox, { defaultAction: "SCMP_ACT_NOTIFY", syscalls: [] }, words);
  },
  { crun: NO_AGENT_NEEDED },
);

spec(
  "create with listenerMetadata and no listenerPath: error, nothing left",
  CLAUSE,
  async (sandbox) => {
    const words = "/linux/seccomp/listenerMetadata: needs listenerPath";
    await expectCreateRefusal(sandbox, { listenerMetadata: "data", syscalls: [] }, words);
  },
  { crun: NO_AGENT_NEEDED, runc: "metadata without an agent is not an error" },
);

spec(
  "run with a notify rule, nobody listens at listenerPath: error, nothing left",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("true", notifying({ listenerPath: sandbox.path("nobody.sock") }));
    expectRefusal(await container.run(), IS_RUNTS ? "/linux/seccomp/listenerPath: " : undefined);
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "start with a notify rule, the agent is gone: error, and the container can still be deleted",
  CLAUSE,
  async (sandbox, context) => {
    if (!IS_RUNTS) context.skip("peers connect in create already");
    const agent = await openSeccompAgent(sandbox);
    const container = sandbox.shell("true", notifying({ listenerPath: agent.socket }));
    await container.created();
    rmSync(agent.socket);
    expectRefusal(await container.start(), "/linux/seccomp/listenerPath: connect to the seccomp agent");
    expect((await container.state()).status).toBe("created");
    expect((await container.delete("--force")).code).toBe(0);
  },
);

spec(
  "exec with a notify rule, the agent is gone: error, and nothing of the process is left",
  CLAUSE,
  async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    const container = sandbox.shell("sleep 1000", notifying({ listenerPath: agent.socket }));
    await container.started();
    rmSync(agent.socket);
    expectRefusal(await container.exec(["true"]), inOurWords("/linux/seccomp/listenerPath: "), 255);
    await expect.poll(() => sandbox.processes().filter((line) => !line.includes("python")).length).toBe(1);
  },
);
