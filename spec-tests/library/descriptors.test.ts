import { describe, expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { program } from "../harness/helpers/library.ts";
import { openSeccompAgent } from "../harness/helpers/seccomp-agent.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: the library";
const FAILING_HOOK = { path: "/bin/sh", args: ["sh", "-c", "exit 3"] };
const createAndStart = (options = "") => `
  try {
    await runts.create({ ...target, stdout: "ignore", ${options} });
    await runts.start(target.id, on);
  } finally {
    await runts.remove(target.id, { ...on, force: true });
  }
`;

/**
 * Performs the failing action three times. The first time may open descriptors that stay open for good, like any first use of a module.
 * Returns the descriptors that are open after the third time and were not after the first, or the reason if it is not the expected one.
 */
function failing(action: string, message: RegExp): string {
  return `await (async () => {
    const { readdirSync, readlinkSync } = await import("node:fs");
    const open = () => readdirSync("/proc/self/fd").flatMap((fd) => {
      try {
        return [fd + " " + readlinkSync("/proc/self/fd/" + fd)];
      } catch {
        return [];
      }
    });
    const reason = await (async () => { ${action} })().then(() => "", ({ message }) => message);
    if (!${message}.test(reason)) return ["not as expected: " + reason];
    const before = open();
    for (let time = 0; time < 2; time++) await (async () => { ${action} })().catch(() => undefined);
    return open().filter((one) => !before.includes(one));
  })()`;
}

function notifying(listenerPath: string): (config: Config) => void {
  return (config) => {
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: [process.arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64"],
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY" }],
      listenerPath,
    };
  };
}

function joiningNamespaces(config: Config): void {
  const paths: Readonly<Record<string, string>> = { ipc: "/proc/1/ns/ipc", network: "/none" };
  config.linux.namespaces = config.linux.namespaces.map((namespace) => {
    const path = paths[namespace.type];
    return path === undefined ? namespace : { ...namespace, path };
  });
}

interface Case {
  readonly situation: string;
  readonly message: RegExp;
  readonly mutate: (config: Config) => void;
}

const CREATES: readonly Case[] = [
  {
    situation: "a missing bind source",
    message: /bind \/none/,
    mutate: ({ mounts }) => mounts.push({ destination: "/tmp", source: "/none", options: ["bind"] }),
  },
  {
    situation: "a failing createRuntime hook",
    message: /createRuntime hook/,
    mutate: (config) => {
      config.hooks = { createRuntime: [FAILING_HOOK] };
    },
  },
  {
    situation: "a failing createContainer hook",
    message: /createContainer hook/,
    mutate: (config) => {
      config.hooks = { createContainer: [FAILING_HOOK] };
    },
  },
  {
    situation: "a failing startContainer hook",
    message: /startContainer hook/,
    mutate: (config) => {
      config.hooks = { startContainer: [FAILING_HOOK] };
    },
  },
  {
    situation: "a missing network namespace",
    message: /join the network namespace/,
    mutate: joiningNamespaces,
  },
  {
    situation: "a missing program",
    message: /\/none/,
    mutate: (config) => {
      config.process.args = ["/none"];
    },
  },
  { situation: "a missing seccomp agent", message: /seccomp agent/, mutate: notifying("/none") },
];

const RUNNING = (uses: string) => `
  await runts.create({ ...target, stdout: "ignore" });
  await runts.start(target.id, on);
  try {
    const { mkdirSync, writeFileSync } = await import("node:fs");
    const cgroup = "/sys/fs/cgroup" + config.linux.cgroupsPath + "/frozen";
    mkdirSync(cgroup);
    writeFileSync(cgroup + "/cgroup.freeze", "1");
    ${uses}
  } finally {
    await runts.remove(target.id, { ...on, force: true });
  }
`;

const spawning = (options: string): string =>
  `await runts.spawn(target.id, { ...on, args: ["true"], ${options} });`;

/** Returns the descriptors that each failing exec leaves open. */
const EXECS = RUNNING(`return [
  ${failing(spawning('cwd: "/none"'), /working directory|\/none/)},
  ${failing(spawning('args: ["/none"]'), /\/none/)},
  ${failing(spawning('cgroup: "none"'), /open the cgroup/)},
  ${failing(spawning('cgroup: "frozen"'), /frozen/)},
];`);

async function execs(sandbox: Sandbox, mutate: (config: Config) => void): Promise<unknown> {
  return program(sandbox, sandbox.shell("sleep 100", mutate), EXECS);
}

describe.runIf(IS_RUNTS)("descriptors of a program that uses the library", () => {
  for (const { situation, message, mutate } of CREATES) {
    spec(`create and start with ${situation}: leave no descriptor open`, CLAUSE, async (sandbox) => {
      const container = sandbox.shell("true", mutate);
      const body = `return ${failing(createAndStart(), message)}`;
      expect(await program(sandbox, container, body)).toEqual([]);
    });
  }

  spec("create with a terminal that fails: leaves no descriptor open", CLAUSE, async (sandbox) => {
    // Any listener will do: create fails before it sends the terminal.
    const { socket } = await openSeccompAgent(sandbox);
    const container = sandbox.shell("true", (config) => {
      config.process.terminal = true;
      config.mounts.push({ destination: "/tmp", source: "/none", options: ["bind"] });
    });
    const action = createAndStart(`consoleSocket: ${JSON.stringify(socket)}`);
    expect(await program(sandbox, container, `return ${failing(action, /bind \/none/)}`)).toEqual([]);
  });

  spec("create that fails and can't undo all: a later remove cleans up", CLAUSE, async (sandbox) => {
    const container = sandbox.shell("true", (config) => {
      // The state root has only this container.
      const args = [
        "sh",
        "-c",
        "cd $1/*/ && mkdir busy && mount -t tmpfs none busy; exit 3",
        "sh",
        sandbox.root,
      ];
      config.hooks = {
        createRuntime: [{ path: "/bin/sh", args, env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] }],
      };
    });
    const body = `
      const { execFileSync } = await import("node:child_process");
      const onWarning = () => undefined;
      const { message } = await runts.create({ ...target, onWarning }).catch((error) => error);
      execFileSync("umount", [target.root + "/" + target.id + "/busy"]);
      await runts.remove(target.id, { ...on, force: true });
      return [message, await runts.list(on)];
    `;
    const expected = [expect.stringContaining("createRuntime hook"), []];
    expect(await program(sandbox, container, body)).toEqual(expected);
  });

  spec("exec that fails: leaves no descriptor open", CLAUSE, async (sandbox) => {
    expect(await execs(sandbox, () => undefined)).toEqual([[], [], [], []]);
  });

  spec("exec that fails, with a seccomp agent: leaves no descriptor open", CLAUSE, async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    expect(await execs(sandbox, notifying(agent.socket))).toEqual([[], [], [], []]);
  });
});
