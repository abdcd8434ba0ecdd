import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { openConsole } from "../harness/console.ts";
import type { Container } from "../harness/container.ts";
import { compareWithTrace, type Explained, type Explanation } from "../harness/explained.ts";
import { compareRuntime } from "../harness/explained-runtime.ts";
import { parseObject } from "../harness/json.ts";
import { giveRootfsTo } from "../harness/rootfs.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";
import { isFinished, readTrace, straceWrapper, type Trace, type TracedCall } from "../harness/strace.ts";

/** `explain --json` against strace(1) of create and start, operation by operation, each process by itself. */

const TIMEOUT = { timeoutMs: 60_000 };

/** The bundles: each is about something else that create does. */
const BUNDLES: Readonly<Record<string, (config: Config, sandbox: Sandbox) => void>> = {
  "the default config": () => undefined,
  "a user namespace, bind mounts and hooks": (config, sandbox) => {
    config.linux.namespaces.push({ type: "user" });
    config.linux.uidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    config.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    config.mounts.push(
      { destination: "/host", type: "bind", source: sandbox.directory, options: ["rbind", "ro", "nosuid"] },
      { destination: "/new/file", type: "bind", source: "/etc/hostname", options: ["bind", "rprivate"] },
    );
    const hook = { path: "/bin/true", args: ["true", "hook"] };
    config.hooks = {
      prestart: [hook],
      createRuntime: [hook, hook],
      createContainer: [hook],
      startContainer: [hook],
      poststart: [hook],
    };
  },
  "limits, devices, a filter and another user": (config) => {
    config.process.user = { uid: 1000, gid: 1001, umask: 0o27, additionalGids: [5, 1234] };
    config.process.oomScoreAdj = 500;
    config.process.noNewPrivileges = false;
    config.process.cwd = "/work/deep";
    config.process.env = ["PATH=/bin", 'QUOTE="x y"', "HOME=/none"];
    config.process.rlimits = [
      { type: "RLIMIT_CORE", soft: 0, hard: 0 },
      { type: "RLIMIT_NOFILE", soft: 100, hard: 200 },
      { type: "RLIMIT_STACK", soft: 8_388_608, hard: 8_388_608 },
    ];
    config.process.capabilities = {
      bounding: ["CAP_KILL", "CAP_NET_RAW"],
      effective: ["CAP_KILL"],
      permitted: ["CAP_KILL", "CAP_NET_RAW"],
      inheritable: ["CAP_KILL"],
      ambient: ["CAP_KILL"],
    };
    config.domainname = "example.org";
    config.linux.sysctl = { "net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1" };
    config.linux.devices = [
      { type: "c", path: "/dev/fuse", major: 10, minor: 229, fileMode: 0o600, uid: 1000, gid: 5 },
      { type: "p", path: "/dev/sub/fifo", fileMode: 0o644 },
    ];
    config.linux.resources = {
      devices: [
        { allow: false, access: "rwm" },
        { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
      ],
      // The only controller of the unified hierarchy here, if any.
      hugepageLimits: [{ pageSize: "2MB", limit: 4_194_304 }],
    };
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mount", "ptrace"], action: "SCMP_ACT_ERRNO", errnoRet: 1 }],
    };
    config.mounts.push({
      destination: "/tmp",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "mode=1777", "ro", "rnoatime"],
    });
  },
  "namespaces of the host, shared mounts and no masks": (config) => {
    config.linux.namespaces = [{ type: "mount" }, { type: "pid" }];
    config.linux.rootfsPropagation = "shared";
    config.root.readonly = false;
    delete config.hostname;
    delete config.linux.maskedPaths;
    delete config.linux.readonlyPaths;
    config.mounts = config.mounts.filter(({ type }) => type !== "sysfs" && type !== "cgroup");
  },
};

for (const [name, mutate] of Object.entries(BUNDLES)) {
  spec(`explain --json with ${name}: what create and start then do`, "explain", async (sandbox) => {
    const container = sandbox.shell("exit 0", (config) => mutate(config, sandbox));
    const [mapping] = container.config.linux.uidMappings ?? [];
    if (mapping !== undefined) giveRootfsTo(container.rootfs, { uid: mapping.hostID, gid: mapping.hostID });
    await compareAll(sandbox, container, []);
  });
}

spec("explain --json with a terminal: what create and start then do", "explain", async (sandbox) => {
  const container = sandbox.shell("exit 0", (config) => {
    config.process.terminal = true;
    config.process.consoleSize = { height: 24, width: 80 };
  });
  const console = await openConsole(sandbox);
  const flags = ["--console-socket", console.socket];
  await compareAll(sandbox, container, flags, flags);
});

spec(
  "explain --json with --no-pivot and --pid-file: what create and start then do",
  "explain",
  async (sandbox) => {
    const container = sandbox.shell("exit 0");
    const flags = ["--no-pivot", "--no-new-keyring", "--pid-file", sandbox.path("pid")];
    await compareAll(sandbox, container, flags, flags);
  },
);

/** Explains, creates and starts, and compares for each process what was announced with what it has done. */
async function compareAll(
  sandbox: Sandbox,
  container: Container,
  createFlags: readonly string[],
  explainFlags: readonly string[] = [],
): Promise<void> {
  const explained = await explain(sandbox, container, explainFlags);
  const folder = sandbox.path("traces");
  mkdirSync(folder);
  const traced = (command: string) => ({ wrapper: straceWrapper(join(folder, command)), ...TIMEOUT });
  await container.created({ flags: createFlags, ...traced("create") });
  const started = await sandbox.invoke(["start", container.id], traced("start"));
  expect(started.stderr).toBe("");
  await container.until("stopped");
  const create = await finished(join(folder, "create"));
  const start = await finished(join(folder, "start"));
  const parts = [
    { trace: create, operations: explained.operations.filter(({ step }) => step < 6) },
    { trace: start, operations: explained.operations.filter(({ step, by }) => step >= 6 && by !== "init") },
  ];
  let compared = 0;
  for (const { trace, operations } of parts) compared += compareProcesses(trace, operations, explained);
  expect(compared).toBeGreaterThan(150);
}

async function explain(
  sandbox: Sandbox,
  container: Container,
  flags: readonly string[],
): Promise<Explanation> {
  const result = await sandbox.invoke([
    "explain",
    "--json",
    "--bundle",
    container.bundle,
    ...flags,
    container.id,
  ]);
  expect(result.stderr).toBe("");
  expect(result.code).toBe(0);
  const json = parseObject(result.stdout);
  expect(json.id).toBe(container.id);
  return JSON.parse(result.stdout);
}

/** The tracer writes on until the last process has ended. */
async function finished(prefix: string): Promise<Trace> {
  for (const deadline = Date.now() + 20_000; !isFinished(prefix); await sleep(20))
    if (Date.now() > deadline) throw new Error("a traced process has not ended after 20 s");
  return readTrace(prefix);
}

/** The runtime, and each process that it has made, in the order of their making. */
function compareProcesses(trace: Trace, operations: readonly Explained[], all: Explanation): number {
  const runtime = [...trace.values()].find((calls) => calls[0]?.call === "execve" && isRuntime(calls[0]));
  if (runtime === undefined) throw new Error("the runtime is not in the trace");
  let compared = compareRuntime(operations, runtime);
  const stubs = runtime.filter(
    ({ call, args }) => call === "clone3" && (args[0] ?? "").includes("CLONE_VFORK"),
  );
  const announced = stubsOf(operations);
  expect(stubs.length).toBe(announced.length);
  for (const [index, stub] of stubs.entries()) {
    const calls = afterExec(trace.get(stub.result) ?? []);
    const part = announced[index] ?? [];
    const isStub = ({ by }: Explained) => by === "stub" || by.startsWith("stub and ");
    compared += compareWithTrace(part.filter(isStub), calls);
    const clone = calls.find(({ call }) => call === "clone3");
    const name = part.find(({ by }) => !isStub({ by } as Explained) && by !== "runtime")?.by;
    if (clone === undefined || name === undefined) continue;
    const source = name === "init" ? all.operations : operations;
    const own = source.filter(({ by }) => by === name || by === `stub and ${name}`);
    compared += compareWithTrace(own, untilExec(trace.get(clone.result) ?? []));
  }
  return compared;
}

function isRuntime({ args }: TracedCall): boolean {
  return !(args[1] ?? "").includes("runts-init");
}

/** What each stub and its clone were announced to do: a stub begins where the runtime spawns it. */
function stubsOf(operations: readonly Explained[]): Explained[][] {
  const parts: Explained[][] = [];
  for (const operation of operations) {
    if (operation.call === "posix_spawn") parts.push([]);
    else if (operation.by !== "runtime") parts.at(-1)?.push(operation);
  }
  return parts;
}

/** What posix_spawn does of its own comes before. */
function afterExec(calls: readonly TracedCall[]): readonly TracedCall[] {
  return calls.slice(calls.findIndex(({ call }) => call === "execve") + 1);
}

/** The container's program is none of the runtime's business. */
function untilExec(calls: readonly TracedCall[]): readonly TracedCall[] {
  const at = calls.findIndex(({ call }) => call === "execve");
  return at < 0 ? calls : calls.slice(0, at + 1);
}
