import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Config, setNamespace, writableCgroup } from "../harness/config.ts";
import { type Container, succeed } from "../harness/container.ts";
import { openConsole } from "../harness/helpers/console.ts";
import { withOpen } from "../harness/helpers/descriptors.ts";
import { openPidfdReceiver } from "../harness/helpers/pidfd.ts";
import { openSeccompAgent } from "../harness/helpers/seccomp-agent.ts";
import { findingsOf, startWatch, type Watched } from "../harness/helpers/watcher.ts";
import { giveToMappedRoot, mapIds } from "../harness/host/user-namespace.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

/**
 * A process is in its final state before it enters a container: at no system call does a process of `exec` that the container can see
 * have anything by which the host can be reached. A container with CAP_SYS_PTRACE could trace it and use that.
 */

const CLAUSE = "CVE-2016-9962, CVE-2024-21626";

/** How a process enters, and the config of its container. */
interface Entry {
  readonly what: string;
  readonly mutate?: (config: Config, sandbox: Sandbox) => Promise<void> | void;
  readonly flags?: (sandbox: Sandbox, container: Container) => Promise<readonly string[]> | readonly string[];
  readonly command?: readonly string[];
  /** In front of the watcher. */
  readonly wrapper?: readonly string[];
  readonly keepFds?: number;
  /** A descriptor that the watcher must have seen and judged harmless. */
  readonly held?: string;
}

const ON_TERMINAL = ["python3", join(import.meta.dirname, "../harness/helpers/on-terminal.py")];
const HANDED = "handed over by the caller";
const IN_CGROUP = "cgroup, detached and read-only";

/** A caller that has directories of the host, its procfs and a namespace open. The flags say which of them are kept. */
function opening(files: string, variables = ""): readonly string[] {
  return [
    "bash",
    "-c",
    `exec ${files} 5</ 6</proc 7</proc/self/ns/net 8</sys/fs/cgroup 251</etc; ${variables} exec "$@"`,
    "bash",
  ];
}

async function onConsole(sandbox: Sandbox): Promise<readonly string[]> {
  return ["--tty", "--detach", "--console-socket", (await openConsole(sandbox)).socket];
}

async function seccompListener(config: Config, sandbox: Sandbox): Promise<void> {
  const { socket } = await openSeccompAgent(sandbox);
  const syscalls = [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY" }];
  config.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", listenerPath: socket, syscalls };
  config.process.noNewPrivileges = false;
}

function withSubCgroup(config: Config, script: string): void {
  writableCgroup(config);
  config.process.args = ["sh", "-c", `mkdir /sys/fs/cgroup/below; ${script}; echo ready; exec sleep 1000`];
}

function withoutMountNamespace(config: Config): void {
  setNamespace(config, "mount", undefined);
  config.linux.maskedPaths = [];
  config.linux.readonlyPaths = [];
  config.root.readonly = false;
}

const FILE = {
  args: ["true"],
  cwd: "/tmp",
  user: { uid: 0, gid: 0 },
  oomScoreAdj: 10,
  rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }],
  scheduler: { policy: "SCHED_BATCH", nice: 1 },
  ioPriority: { class: "IOPRIO_CLASS_BE", priority: 5 },
  execCPUAffinity: { initial: "0", final: "0" },
};

const ENTRIES: readonly Entry[] = [
  { what: "exec", held: HANDED },
  { what: "exec --detach --pid-file", flags: (sandbox) => ["--detach", "--pid-file", sandbox.path("pid")] },
  { what: "exec --tty in the foreground", flags: () => ["--tty"], wrapper: ON_TERMINAL },
  { what: "exec --tty with a console socket", flags: onConsole },
  {
    what: "exec with a pidfd socket",
    flags: async (sandbox) => ["--pidfd-socket", (await openPidfdReceiver(sandbox)).socket],
  },
  {
    what: "exec --preserve-fds",
    flags: () => ["--preserve-fds", "2"],
    wrapper: opening("3</etc/passwd 4</etc"),
    keepFds: 2,
    held: HANDED,
  },
  {
    what: "exec --preserve-fds with nothing open",
    flags: () => ["--preserve-fds", "20"],
    wrapper: withOpen({}),
  },
  {
    what: "exec with LISTEN_FDS",
    wrapper: opening("3</etc/passwd 4</etc", "LISTEN_FDS=1 LISTEN_PID=$$"),
    keepFds: 1,
    held: HANDED,
  },
  { what: "exec with a seccomp listener", mutate: seccompListener, held: "seccomp notify" },
  {
    what: "exec as another user",
    flags: () => ["--user", "1000:1000", "--additional-gids", "5", "--cwd", "/tmp", "--cap", "CAP_KILL"],
  },
  {
    what: "exec --process with limits, scheduling and CPUs",
    flags: (sandbox) => {
      writeFileSync(sandbox.path("process.json"), JSON.stringify(FILE));
      return ["--process", sandbox.path("process.json")];
    },
    command: [],
  },
  { what: "exec into a user namespace", mutate: mapIds },
  { what: "exec --tty into a user namespace", mutate: mapIds, flags: onConsole },
  {
    what: "exec without a cgroup namespace",
    mutate: (config) => setNamespace(config, "cgroup", undefined),
    held: IN_CGROUP,
  },
  {
    what: "exec --cgroup",
    mutate: (config) => withSubCgroup(config, "true"),
    flags: async (_sandbox, container) => {
      await expect.poll(() => container.printed()).toBe("ready");
      return ["--cgroup", "below"];
    },
    held: IN_CGROUP,
  },
  {
    what: "exec into the cgroup that init has made and entered",
    mutate: (config) => withSubCgroup(config, "echo 1 > /sys/fs/cgroup/below/cgroup.procs"),
    flags: async (_sandbox, container) => {
      await expect.poll(() => container.printed()).toBe("ready");
      return [];
    },
    held: IN_CGROUP,
  },
  { what: "exec into the host's network", mutate: (config) => setNamespace(config, "network", undefined) },
  { what: "exec into a container without a mount namespace", mutate: withoutMountNamespace },
];

async function enter(sandbox: Sandbox, entry: Entry): Promise<Watched> {
  const container = sandbox.container((config) => {
    config.process.args = ["sleep", "1000"];
  });
  await entry.mutate?.(container.config, sandbox);
  container.writeConfig();
  if (container.config.linux.uidMappings !== undefined) giveToMappedRoot(container);
  await container.started();
  const flags = (await entry.flags?.(sandbox, container)) ?? [];
  const watch = startWatch(sandbox, { keepFds: entry.keepFds ?? 0 });
  const wrapper = [...(entry.wrapper ?? []), ...watch.wrapper];
  succeed("exec", await container.exec(entry.command ?? ["true"], { flags, wrapper }));
  return watch.watched();
}

if (IS_RUNTS) {
  for (const entry of ENTRIES) {
    spec(
      `${entry.what}, watched at each system call: no descriptor of the host in sight of the container`,
      CLAUSE,
      async (sandbox, context) => {
        skipWithout(context, "gcc");
        const watched = await enter(sandbox, entry);
        expect(findingsOf(watched)).toEqual([]);
        expect(watched.inSight).toBe(1);
        expect(watched.descriptors).toBeGreaterThan(100);
        expect(watched.held).toEqual(expect.arrayContaining(["sealed executable", entry.held ?? IN_CGROUP]));
      },
    );
  }
}
