import { readFileSync, rmSync } from "node:fs";
import { expect } from "vitest";
import { type Container, type CreateOptions, succeed } from "../harness/container.ts";
import { openConsole } from "../harness/helpers/console.ts";
import { expectRefusal } from "../harness/refusal.ts";
import type { Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";
import { cgroupOf, systemdSpecs } from "../harness/systemd/spec.ts";

/**
 * All calls of conmon-rs 1.0 (conmon-rs/server/src/server.rs), CRI-O's newer monitor. It gives its global options twice:
 *
 *     RUNTIME --root=R [--systemd-cgroup] --root=R [--systemd-cgroup] create --bundle B --pid-file P [--console-socket=S] ID
 *     RUNTIME --root=R [--systemd-cgroup] --root=R [--systemd-cgroup] exec -d [--console-socket=S --tty] --pid-file=P ID WORD...
 *
 * Everything else CRI-O calls itself: spec-tests/callers/cri-o.test.ts.
 */
const CLAUSE = "engines: conmon-rs";

const systemdSpec = systemdSpecs();

/** The sandbox gives the first --root. */
const globals = (sandbox: Sandbox, ...between: readonly string[]) => [
  ...between,
  `--root=${sandbox.root}`,
  ...between,
];

function create(sandbox: Sandbox, container: Container, options: CreateOptions = {}): Promise<Result> {
  const { flags = [], ...rest } = options;
  return container.create({
    globals: globals(sandbox),
    flags: ["--pid-file", sandbox.path("pidfile"), ...flags],
    ...rest,
  });
}

function exec(sandbox: Sandbox, container: Container, words: readonly string[], options: CreateOptions = {}) {
  const { flags = [], ...rest } = options;
  return container.exec(words, {
    globals: globals(sandbox),
    flags: ["-d", ...flags, `--pid-file=${sandbox.path("exec.pid")}`],
    ...rest,
  });
}

/** conmon-rs parses the whole file as a number: a newline would be an error. */
function pidIn(file: string): number {
  const text = readFileSync(file, "utf8");
  expect(text).toMatch(/^[1-9]\d*$/);
  return Number(text);
}

async function running(sandbox: Sandbox): Promise<Container> {
  const container = sandbox.shell("exec sleep 1000");
  succeed("create", await create(sandbox, container));
  succeed("start", await container.start());
  return container;
}

spec("create with --root given twice: the pid file is the number of init", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("exec sleep 1000");
  expect(await create(sandbox, container)).toMatchObject({ code: 0, stderr: "" });
  expect(await container.state()).toMatchObject({
    status: "created",
    pid: pidIn(sandbox.path("pidfile")),
  });
});

systemdSpec(
  "create --systemd-cgroup, exec -d --systemd-cgroup, each given twice: one scope, in which both processes run",
  CLAUSE,
  async (sandbox, machine) => {
    const container = sandbox.shell("exec sleep 1000");
    container.config.linux.cgroupsPath = `system.slice:crio:${container.id}`;
    container.writeConfig();
    const twice = { globals: globals(sandbox, "--systemd-cgroup") };
    succeed("create", await create(sandbox, container, twice));
    const scope = `/system.slice/crio-${container.id}.scope`;
    expect(await cgroupOf(container, machine)).toMatch(scope);
    succeed("start", await container.start());
    const output = sandbox.path("output");
    succeed(
      "exec",
      await exec(sandbox, container, ["cat", "/proc/self/cgroup"], { ...twice, stdout: output }),
    );
    await expect.poll(() => readFileSync(output, "utf8")).not.toBe("");
    const own = /^0::(.*)$/m.exec(readFileSync(output, "utf8"))?.[1];
    // In its cgroup namespace, the scope is the root.
    expect(own).toBe("/");
  },
);

spec(
  "exec -d --pid-file=, words that look like options after the id: the command's own",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const output = sandbox.path("output");
    const script = 'echo "$@"; exec sleep 1000';
    const words = ["sh", "-c", script, "sh", "-d", "--pid-file=other", "--", "--root", "-t"];
    const { code, stderr } = await exec(sandbox, container, words, { stdout: output });
    expect([code, stderr]).toEqual([0, ""]);
    await expect.poll(() => readFileSync(output, "utf8")).toBe("-d --pid-file=other -- --root -t\n");
    process.kill(pidIn(sandbox.path("exec.pid")), "SIGKILL");
  },
);

/** conmon-rs reads standard output and error of its child to the end, also where a terminal takes the container's output. */
const TO_THE_END = ["sh", "-c", '"$@" 2>&1 | cat', "sh"];

spec(
  "create --console-socket=, its outputs are pipes: they end with create, and the socket gets the terminal",
  CLAUSE,
  async (sandbox) => {
    const console = await openConsole(sandbox);
    const container = sandbox.shell("echo on the terminal; exec sleep 1000", (config) => {
      config.process.terminal = true;
    });
    const flags = [`--console-socket=${console.socket}`];
    const result = await create(sandbox, container, { flags, wrapper: TO_THE_END });
    expect(result).toMatchObject({ code: 0, stdout: "" });
    expect(await console.received()).toMatchObject({ tty: true });
    succeed("start", await container.start());
    await expect.poll(() => readFileSync(console.file, "utf8")).toBe("on the terminal\r\n");
    rmSync(console.socket);
  },
);

spec(
  "exec -d --console-socket= --tty, its outputs are pipes: they end with exec, and the socket gets the terminal",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const console = await openConsole(sandbox);
    const flags = [`--console-socket=${console.socket}`, "--tty"];
    const script = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo a terminal; exec sleep 1000";
    const words = ["sh", "-c", script];
    const result = await exec(sandbox, container, words, { flags, wrapper: TO_THE_END });
    expect(result).toMatchObject({ code: 0, stdout: "" });
    expect(await console.received()).toMatchObject({ tty: true });
    await expect.poll(() => readFileSync(console.file, "utf8")).toBe("a terminal\r\n");
    process.kill(pidIn(sandbox.path("exec.pid")), "SIGKILL");
    rmSync(console.socket);
  },
);

spec("exec -d, the command does not exist: error on standard error", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  expectRefusal(await exec(sandbox, container, ["no-such-command", "-x"]), "no-such-command", 255);
});

spec(
  "create fails: error on standard error, state finds nothing, delete --force succeeds",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["/no/such/program"];
    });
    expectRefusal(await create(sandbox, container), "/no/such/program");
    expect((await container.stateCommand()).code).not.toBe(0);
    const deleted = await container.delete("--force");
    expect([deleted.code, deleted.stdout]).toEqual([0, ""]);
    expect(await sandbox.traces()).toEqual([]);
  },
);
