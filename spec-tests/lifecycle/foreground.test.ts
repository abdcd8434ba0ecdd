import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import { byCase } from "../harness/peers.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "practice of runc: run is a parent in the foreground";

const ON_TERMINAL = ["python3", join(import.meta.dirname, "../harness/helpers/on-terminal.py")];

function onTerminal(sandbox: Sandbox, script: string): Container {
  return sandbox.shell(script, (config) => {
    config.process.terminal = true;
  });
}

spec(
  "run with a terminal: it has the size of the caller's, and the exit code is the program's",
  CLAUSE,
  async (sandbox) => {
    const container = onTerminal(sandbox, "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && stty size; exit 7");
    const result = await container.run({ wrapper: ON_TERMINAL });
    expect(result.stdout.replaceAll("\r", "")).toBe("30 90\n");
    expect(result.code).toBe(7);
  },
  { crun: { reason: "sets the terminal's size when the program already runs", sometimes: true } },
);

spec("run with a terminal: typed text reaches the program, echoed once", CLAUSE, async (sandbox) => {
  const container = onTerminal(sandbox, "echo type now; read line; echo got $line");
  const result = await container.run({ wrapper: ON_TERMINAL });
  expect(result.stdout.replaceAll("\r", "")).toBe("type now\ntyped words\ngot typed words\n");
});

/** Says when it is ready for SIGWINCH, and then prints the new size. */
const RESIZED = "trap 'stty size; exit 3' WINCH; echo resize now; while :; do sleep 0.02; done";

spec(
  "run, the caller's terminal is resized: the program's is resized too, with SIGWINCH",
  CLAUSE,
  async (sandbox) => {
    const result = await onTerminal(sandbox, RESIZED).run({ wrapper: ON_TERMINAL });
    expect(result.stdout.replaceAll("\r", "")).toBe("resize now\n40 120\n");
    expect(result.code).toBe(3);
  },
);

spec(
  "exec --tty, the caller's terminal is resized: the program's is resized too",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const result = await container.exec(["sh", "-c", RESIZED], { flags: ["--tty"], wrapper: ON_TERMINAL });
    expect(result.stdout.replaceAll("\r", "")).toBe("resize now\n40 120\n");
    expect(result.code).toBe(3);
  },
);

/** A container with a writable rootfs, where script and test exchange files. */
function writable(sandbox: Sandbox, script: string): Container {
  return sandbox.shell(script, (config) => {
    config.root.readonly = false;
  });
}

async function waitForFile(container: Container, path: string): Promise<string> {
  const read = () => {
    try {
      return container.readFile(path);
    } catch {
      return "";
    }
  };
  await expect.poll(read).not.toBe("");
  return read().trim();
}

const signalDeviations = byCase({ runc: "Go's profiler uses SIGPROF", cases: ["PROF"] });

for (const [signal, number] of [
  ...(["HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "ABRT", "XCPU", "VTALRM", "PROF", "IO"] as const).map(
    (name) => [name, constants.signals[`SIG${name}`]] as const,
  ),
  ["STKFLT", 16],
  ["RTMIN+3", 37],
  ["RTMAX", 64],
] as const) {
  spec(
    `run, SIG${signal} sent to the runtime: forwarded to the program`,
    CLAUSE,
    async (sandbox) => {
      const container = writable(
        sandbox,
        `trap 'echo got ${signal}; exit 5' ${number}; echo yes > /tmp/ready; while :; do sleep 0.02; done`,
      );
      const result = await container.run({
        whileRunning: async (pid) => {
          await waitForFile(container, "tmp/ready");
          process.kill(pid, number);
        },
      });
      expect(result).toMatchObject({ code: 5, stdout: `got ${signal}\n` });
    },
    signalDeviations(signal),
  );
}

spec(
  "run, a signal while the container is created: the program gets it, nothing left",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["sleep", "1000"];
      // Pid 1 of a namespace would ignore it.
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
      config.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "kill -USR1 $PPID"] }] };
    });
    const { code } = await container.run();
    expect(code).toBe(128 + 10);
    expect((await container.stateCommand()).code).toBe(1);
  },
  {
    crun: { reason: "dies of SIGPIPE when a hook ends before it has read the state", sometimes: true },
    runc: { reason: "loses a signal that arrives before its handlers are set", sometimes: true },
  },
);

const orphanDeviations = byCase(
  {
    runc: {
      reason:
        "processes that outlive init in a shared pid namespace stay (opencontainers/runc#4102, solved in 1.2)",
      before: "1.2",
    },
    cases: ["run"],
  },
  {
    crun: "accepts --no-subreaper and ignores it",
    runc: {
      reason:
        "processes that outlive init in a shared pid namespace stay in most runs (opencontainers/runc#4102)",
      sometimes: true,
      before: "1.2",
    },
    cases: ["run --no-subreaper"],
  },
);

for (const [situation, flags, adopted] of [
  ["run", [], true],
  ["run --no-subreaper", ["--no-subreaper"], false],
] as const) {
  spec(
    `${situation}, a process of the container is orphaned: ${adopted ? "becomes" : "does not become"} a child of run`,
    CLAUSE,
    async (sandbox) => {
      const container = writable(
        sandbox,
        "(sleep 1000 & echo $! > /tmp/orphan); echo yes > /tmp/ready; exec sleep 1000",
      );
      const { namespaces } = container.config.linux;
      container.config.linux.namespaces = namespaces.filter(({ type }) => type !== "pid");
      container.writeConfig();
      await container.run({
        flags,
        whileRunning: async (pid) => {
          await waitForFile(container, "tmp/ready");
          const orphan = await waitForFile(container, "tmp/orphan");
          const stat = readFileSync(`/proc/${orphan}/stat`, "utf8");
          const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
          await container.kill("KILL");
          expect(parent === pid).toBe(adopted);
        },
      });
    },
    orphanDeviations(situation),
  );
}

/** The children of a process, which procfs lists for each thread. */
function childrenOf(pid: number): number[] {
  const lists = readdirSync(`/proc/${pid}/task`).map((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8"),
  );
  return lists
    .flatMap((list) => list.trim().split(" "))
    .filter(Boolean)
    .map(Number);
}

spec("run, adopted orphans end: none stays a zombie", CLAUSE, async (sandbox) => {
  const container = writable(
    sandbox,
    "for i in 1 2 3 4 5; do (: &); done; echo yes > /tmp/ready; while [ ! -e /tmp/end ]; do sleep 0.02; done; exit 7",
  );
  const { namespaces } = container.config.linux;
  container.config.linux.namespaces = namespaces.filter(({ type }) => type !== "pid");
  container.writeConfig();
  const { code } = await container.run({
    whileRunning: async (pid) => {
      await waitForFile(container, "tmp/ready");
      const { pid: init } = await container.state();
      await expect.poll(() => childrenOf(pid)).toEqual([init]);
      writeFileSync(join(container.rootfs, "tmp/end"), "");
    },
  });
  expect(code).toBe(7);
});
