import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { type Config, type Hook, setNamespace } from "../harness/config.ts";
import { type Container, succeed } from "../harness/container.ts";
import { openConsole } from "../harness/helpers/console.ts";
import { withOpen } from "../harness/helpers/descriptors.ts";
import { openServiceManager, send } from "../harness/helpers/notify.ts";
import { openSeccompAgent } from "../harness/helpers/seccomp-agent.ts";
import { findingsOf, startWatch, type Watched } from "../harness/helpers/watcher.ts";
import { host, moving } from "../harness/host/network.ts";
import { giveToMappedRoot, mapIds } from "../harness/host/user-namespace.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

/**
 * As entering-exec.test.ts, for the processes that `create`, `start` and `run` make. Init counts from where it waits for `start`, since
 * until then nobody else is in its pid namespace. Hooks in the container count always.
 */

const CLAUSE = "CVE-2016-9962, CVE-2024-21626";

interface Creation {
  readonly what: string;
  readonly mutate?: (config: Config, sandbox: Sandbox) => Promise<void> | void;
  readonly flags?: (sandbox: Sandbox) => Promise<readonly string[]> | readonly string[];
  readonly env?: (sandbox: Sandbox) => Promise<Record<string, string>>;
  /** In front of the watcher. */
  readonly wrapper?: readonly string[];
  readonly keepFds?: number;
  /** Processes of startContainer hooks. */
  readonly hooks?: number;
}

function hook(script: string): Hook {
  return { path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/usr/bin:/bin"] };
}

const TRUE = hook("true");

/** The first startContainer hook leaves a process behind, which can see the second. */
function allHooks(config: Config): void {
  config.hooks = {
    prestart: [TRUE],
    createRuntime: [TRUE],
    createContainer: [TRUE],
    startContainer: [hook("sleep 1000 & true"), TRUE],
    poststart: [TRUE],
    poststop: [TRUE],
  };
}

function volumes(config: Config, sandbox: Sandbox): void {
  const source = sandbox.path("volume");
  mkdirSync(source);
  writeFileSync(`${source}/file`, "");
  const mappings = [{ containerID: 0, hostID: 1000, size: 65_536 }];
  config.root.readonly = false;
  config.mounts.push(
    { destination: "/a", source, options: ["rbind", "ro", "nosuid"] },
    { destination: "/b", source: `${source}/file`, options: ["bind"] },
    { destination: "/c", source, options: ["bind", "idmap"], uidMappings: mappings, gidMappings: mappings },
    { destination: "/etc", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup", "ro"] },
    { destination: "/host", source: "/", options: ["rbind", "rro", "rslave"] },
  );
}

function inUserNamespace(config: Config, sandbox: Sandbox): void {
  mapIds(config);
  volumes(config, sandbox);
}

async function seccompListener(config: Config, sandbox: Sandbox): Promise<void> {
  const { socket } = await openSeccompAgent(sandbox);
  const syscalls = [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY" }];
  config.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", listenerPath: socket, syscalls };
  config.process.noNewPrivileges = false;
  config.hooks = { startContainer: [TRUE] };
}

function withoutMountNamespace(config: Config): void {
  setNamespace(config, "mount", undefined);
  config.linux.maskedPaths = [];
  config.linux.readonlyPaths = [];
  config.root.readonly = false;
  config.hooks = { startContainer: [TRUE] };
}

const CREATIONS: readonly Creation[] = [
  { what: "create and start" },
  { what: "create and start, volumes, mapped ids and a copied directory", mutate: volumes },
  { what: "create and start, a user namespace, volumes and mapped ids", mutate: inUserNamespace },
  {
    what: "create and start, a terminal with a console socket",
    mutate: (config) => {
      config.process.terminal = true;
    },
    flags: async (sandbox) => ["--console-socket", (await openConsole(sandbox)).socket],
  },
  {
    what: "create and start, NOTIFY_SOCKET",
    env: async (sandbox) => ({ NOTIFY_SOCKET: (await openServiceManager(sandbox)).address }),
  },
  {
    what: "create and start, --preserve-fds and LISTEN_FDS",
    flags: () => ["--preserve-fds", "1"],
    wrapper: [
      "bash",
      "-c",
      'exec 3</etc/passwd 4</etc 5</ 6</proc; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"',
      "bash",
    ],
    keepFds: 2,
  },
  {
    what: "create and start, --preserve-fds with nothing open",
    flags: () => ["--preserve-fds", "20"],
    wrapper: withOpen({}),
  },
  { what: "create and start, hooks of all kinds", mutate: allHooks, hooks: 2 },
  {
    what: "create and start, hooks of all kinds and a user namespace",
    mutate: (config) => {
      mapIds(config);
      allHooks(config);
    },
    hooks: 2,
  },
  { what: "create and start, a seccomp listener and a hook", mutate: seccompListener, hooks: 1 },
  {
    what: "create and start, devices, sysctls, clocks and another user",
    mutate: (config) => {
      config.linux.devices = [{ type: "c", path: "/dev/net/tun", major: 10, minor: 200 }];
      config.linux.sysctl = { "net.ipv4.ip_forward": "1" };
      config.linux.namespaces.push({ type: "time" });
      config.linux.timeOffsets = { boottime: { secs: 10 } };
      config.process.user = { uid: 1000, gid: 1000 };
    },
  },
  {
    what: "create and start, no cgroup namespace and a shared root",
    mutate: (config) => {
      setNamespace(config, "cgroup", undefined);
      config.linux.rootfsPropagation = "rshared";
    },
  },
  { what: "create and start, --no-pivot", flags: () => ["--no-pivot"] },
  { what: "create and start, no mount namespace and a hook", mutate: withoutMountNamespace, hooks: 1 },
];

/** A container that does nothing, with the config of a case. */
async function prepared(sandbox: Sandbox, { mutate }: Pick<Creation, "mutate">): Promise<Container> {
  const container = sandbox.container((config) => {
    config.process.args = ["sleep", "1000"];
  });
  await mutate?.(container.config, sandbox);
  container.writeConfig();
  if (container.config.linux.uidMappings !== undefined) giveToMappedRoot(container);
  return container;
}

/** Sends READY=1 as the service would, since `start` waits for it. */
async function tellReady(container: Container): Promise<void> {
  const { pid } = await container.state();
  const socket = `/proc/${pid}/root/run/notify/notify.sock`;
  await expect.poll(() => existsSync(socket)).toBe(true);
  send(socket, "READY=1");
}

/** Watches `create`, with init up to its program, and `start`. */
async function createAndStart(
  sandbox: Sandbox,
  container: Container,
  { flags, env, wrapper = [], keepFds = 0 }: Omit<Creation, "what">,
): Promise<readonly [Watched, Watched]> {
  const variables = (await env?.(sandbox)) ?? {};
  const creating = startWatch(sandbox, { keepFds });
  await container.created({
    flags: (await flags?.(sandbox)) ?? [],
    env: variables,
    wrapper: [...wrapper, ...creating.wrapper],
  });
  const starting = startWatch(sandbox);
  const whileRunning = () =>
    variables.NOTIFY_SOCKET === undefined ? Promise.resolve() : tellReady(container);
  const options = { wrapper: starting.wrapper, env: variables, whileRunning };
  succeed("start", await sandbox.invoke(["start", container.id], options));
  return [await creating.watched(), await starting.watched()];
}

function title(what: string): string {
  return `${what}, watched at each system call: no descriptor of the host in sight of the container`;
}

function expectOutOfSight([created, started]: readonly [Watched, Watched], hooks = 0): void {
  expect(findingsOf(created)).toEqual([]);
  expect(created.inSight).toBe(1);
  expect(created.descriptors).toBeGreaterThan(30);
  expect(created.held).toContain("sealed executable");
  expect(findingsOf(started)).toEqual([]);
  expect(started.inSight).toBe(hooks);
  expect(started.processes).toBeGreaterThan(0);
}

/** A config that joins namespaces of another container. That container can see its processes from the clone on. */
function podMember(sandbox: Sandbox, pid: number, types: readonly string[]): (config: Config) => void {
  return (config) => {
    volumes(config, sandbox);
    for (const type of types) setNamespace(config, type, { type, path: `/proc/${pid}/ns/${type}` });
    config.hooks = { startContainer: [TRUE] };
  };
}

if (IS_RUNTS) {
  for (const creation of CREATIONS) {
    spec(title(creation.what), CLAUSE, async (sandbox, context) => {
      skipWithout(context, "gcc");
      const container = await prepared(sandbox, creation);
      expectOutOfSight(await createAndStart(sandbox, container, creation), creation.hooks);
    });
  }

  spec(title("create and start, netDevices"), CLAUSE, async (sandbox, context) => {
    skipWithout(context, "gcc");
    const { wrapper } = host(sandbox, context);
    const container = await prepared(sandbox, { mutate: moving({ va: { name: "eth0" } }) });
    expectOutOfSight(await createAndStart(sandbox, container, { wrapper }));
  });

  spec(title("run, hooks of all kinds"), CLAUSE, async (sandbox, context) => {
    skipWithout(context, "gcc");
    const container = sandbox.container(allHooks);
    const watch = startWatch(sandbox);
    succeed("run", await container.run({ wrapper: watch.wrapper }));
    const watched = await watch.watched();
    expect(findingsOf(watched)).toEqual([]);
    expect(watched.inSight).toBe(3);
  });

  for (const types of [["pid"], ["pid", "user"]]) {
    spec(
      `create and start in the ${types.join(" and ")} namespace of another container, watched at each system call: no descriptor of the host in sight of the other container once the set-up is over`,
      `${CLAUSE}; the set-up itself has all rights of the caller, as SECURITY.md says`,
      async (sandbox, context) => {
        skipWithout(context, "gcc");
        const pod = await prepared(sandbox, { mutate: types.includes("user") ? mapIds : () => undefined });
        await pod.started();
        const { pid } = await pod.state();
        const container = await prepared(sandbox, { mutate: podMember(sandbox, pid, types) });
        if (types.includes("user")) giveToMappedRoot(container);
        const [created, started] = await createAndStart(sandbox, container, {});
        const later = created.findings.filter(({ stage }) => stage === "ready");
        expect(later.length).toBeLessThan(created.findings.length);
        expectOutOfSight([{ ...created, findings: later }, started], 1);
      },
    );
  }
}
