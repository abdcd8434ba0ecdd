import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { textOf } from "../harness/host/processes.ts";
import { parseObject } from "../harness/json.ts";
import { byCase } from "../harness/peers.ts";
import { PATH, RUNTIME } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/**
 * All calls of buildkit (executor/runcexecutor, by containerd's go-runc), each in a process group of its own and killed with the thread of
 * buildkitd that has made it (PR_SET_PDEATHSIG):
 *
 *     RUNTIME --log F --log-format json run --bundle B [--no-pivot] --keep ID                 RUN
 *     RUNTIME --log F --log-format json state ID                                              every 100 ms until running
 *     RUNTIME --log F --log-format json exec --process F --pid-file P ID                      a debugger's shell
 *     RUNTIME --log F --log-format json kill ID 9                                             the build is cancelled
 *     RUNTIME --log F --log-format json delete ID                                             in any case, never with --force
 *
 * With a terminal, SIGWINCH tells the runtime that it has been resized. An `exec` is cancelled by a SIGKILL to the process in its pid file.
 */
const CLAUSE = "engines: buildkit";

const RUNS = "trap '' TERM; echo begun; while :; do sleep 0.02; done";

/** Options in front of each command. */
const globals = (sandbox: Sandbox) => ["--log", sandbox.path("log.json"), "--log-format", "json"];

/** A `run --keep` that the kernel kills when its parent dies. */
class Build {
  readonly #parent: ChildProcess;
  readonly #ended: Promise<unknown>;
  /** The process of the runtime. */
  readonly pid: Promise<number>;

  constructor(sandbox: Sandbox, container: Container) {
    const command = [RUNTIME, "--root", sandbox.root, ...globals(sandbox)];
    const run = [...command, "run", "--bundle", container.bundle, "--keep", container.id];
    // Says its pid only once it will be killed with its parent.
    const child = `echo $$; exec "$@" >${sandbox.path("output")} 2>&1`;
    const parent = `setpriv --pdeathsig KILL sh -c '${child}' sh "$@" & wait`;
    this.#parent = spawn("sh", ["-c", parent, "sh", ...run], {
      env: { PATH, SPEC_TEST_TAG: sandbox.tag },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#ended = once(this.#parent, "exit");
    const { stdout } = this.#parent;
    this.pid = new Promise((resolve, reject) => {
      if (stdout !== null) createInterface({ input: stdout }).once("line", (line) => resolve(Number(line)));
      this.#parent.once("exit", () => reject(new Error("the parent has not started a runtime")));
    });
    sandbox.atEnd(() => this.kill());
  }

  /** Kills the parent, and waits until the kernel has killed the runtime. */
  async kill(): Promise<void> {
    const pid = await this.pid.catch(() => undefined);
    this.#parent.kill("SIGKILL");
    await this.#ended;
    if (pid !== undefined) await expect.poll(() => isRunning(pid)).toBe(false);
  }
}

function isRunning(pid: number): boolean {
  return /\) [^ZX] /.test(textOf(`/proc/${pid}/stat`));
}

async function running(sandbox: Sandbox, script = RUNS): Promise<{ container: Container; build: Build }> {
  const container = sandbox.shell(script);
  const build = new Build(sandbox, container);
  await expect.poll(() => readOutput(sandbox)).toContain("begun");
  return { container, build };
}

const readOutput = (sandbox: Sandbox) =>
  existsSync(sandbox.path("output")) ? readFileSync(sandbox.path("output"), "utf8") : "";

spec(
  "run --keep, its parent dies: the container runs on, and delete --force removes its processes, cgroup and record",
  CLAUSE,
  async (sandbox) => {
    const { container, build } = await running(sandbox, `(${RUNS}) & ${RUNS}`);
    const { pid } = await container.state();
    await build.kill();
    expect(await container.state()).toMatchObject({ status: "running", pid });
    expect(existsSync(`/sys/fs/cgroup/${container.id}`)).toBe(true);
    // buildkit itself would only say this, and leave the container to somebody else.
    expect((await container.delete()).code).not.toBe(0);
    const deleted = await container.delete("--force");
    expect([deleted.code, deleted.stderr]).toEqual([0, ""]);
    expect(await sandbox.traces()).toEqual([]);
  },
);

/** Spread over the time that a start takes on an idle machine. */
const INSTANTS = Array.from({ length: 12 }, (_, index) => index * 5);

spec(
  "run --keep, its parent dies at any instant: delete --force removes all that is left",
  CLAUSE,
  async (sandbox) => {
    const expectDeleted = async (instant: number | "running", container: Container) => {
      const { code, stderr } = await container.delete("--force");
      expect([instant, code, stderr]).toEqual([instant, 0, ""]);
    };
    for (const instant of INSTANTS) {
      const container = sandbox.shell(RUNS);
      const build = new Build(sandbox, container);
      await build.pid;
      await sleep(instant);
      await build.kill();
      await expectDeleted(instant, container);
    }
    // Where a start takes longer than the last of these instants.
    rmSync(sandbox.path("output"), { force: true });
    const { container, build } = await running(sandbox);
    await build.kill();
    await expectDeleted("running", container);
    expect(await sandbox.traces()).toEqual([]);
  },
  { both: { reason: "delete --force does not find all that a killed create has left", sometimes: true } },
);

spec(
  "run --keep, then kill 9: run exits with 137, and delete without --force removes all",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell(`(${RUNS}) & ${RUNS}`);
    const { code } = await container.run({
      globals: globals(sandbox),
      flags: ["--keep"],
      whileRunning: async () => {
        await untilRunning(sandbox, container);
        expect((await call(sandbox, "kill", container.id, "9")).code).toBe(0);
      },
    });
    expect(code).toBe(137);
    expect((await container.state()).status).toBe("stopped");
    const deleted = await call(sandbox, "delete", container.id);
    expect([deleted.code, deleted.stderr]).toEqual([0, ""]);
    expect(await sandbox.traces()).toEqual([]);
  },
);

function call(sandbox: Sandbox, ...args: readonly string[]) {
  return sandbox.invoke([...globals(sandbox), ...args]);
}

/** Asks for the state again and again. buildkit pauses 100 ms between two questions; this does not. */
async function untilRunning(sandbox: Sandbox, container: Container): Promise<string[]> {
  const seen = new Set<string>();
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
    const { code, stdout } = await call(sandbox, "state", container.id);
    const status = code === 0 ? String(parseObject(stdout).status) : "error";
    seen.add(status);
    if (status === "running") return [...seen];
  }
  throw new Error(`not running after 20 s: ${[...seen].join(" ")}`);
}

spec(
  "state, polled while run --keep creates the container: an error, creating or created, then running",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell(RUNS);
    const build = new Build(sandbox, container);
    const seen = await untilRunning(sandbox, container);
    expect(["error", "creating", "created", "running"]).toEqual(expect.arrayContaining(seen));
    await build.kill();
  },
);

spec(
  "exec --process --pid-file, SIGKILL to the process in the pid file: exec exits with 137, the container runs on",
  CLAUSE,
  async (sandbox) => {
    const { container, build } = await running(sandbox);
    const file = sandbox.path("process.json");
    const pidFile = sandbox.path("pidfile");
    const args = ["sh", "-c", "trap '' TERM; while :; do sleep 0.02; done"];
    writeFileSync(file, JSON.stringify({ ...container.config.process, args }));
    const options = ["exec", "--process", file, "--pid-file", pidFile];
    const { code } = await sandbox.invoke([...globals(sandbox), ...options, container.id], {
      whileRunning: async () => {
        const read = () => (existsSync(pidFile) ? readFileSync(pidFile, "utf8") : "");
        await expect.poll(read).toMatch(/^[1-9]\d*$/);
        process.kill(Number(read()), "SIGKILL");
      },
    });
    expect(code).toBe(137);
    expect((await container.state()).status).toBe("running");
    await build.kill();
  },
);

/** Peers set the first size when the program already runs, which is another SIGWINCH. */
const RESIZED = `trap '[ "$(stty size)" = "30 90" ] || { stty size; exit 3; }' WINCH
echo resize now; while :; do sleep 0.02; done`;
const SIZES = "resize now\n40 120\n";

const onTerminal = (streams: string) => [
  "python3",
  join(import.meta.dirname, "../harness/helpers/uncontrolled-terminal.py"),
  streams,
];

const deviations = byCase({ crun: "wants standard input to be the terminal", cases: ["12"] });

for (const streams of ["012", "12"]) {
  const title = `on a terminal that is not its controlling one, as streams ${streams}, resized`;
  spec(
    `run --keep ${title}: SIGWINCH has the container's resized`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell(RESIZED, (config) => {
        config.process.terminal = true;
      });
      const result = await container.run({
        globals: globals(sandbox),
        flags: ["--keep"],
        wrapper: onTerminal(streams),
      });
      expect(result.stdout.replaceAll("\r", "")).toBe(SIZES);
      expect(result.code).toBe(3);
    },
    deviations(streams),
  );

  spec(
    `exec --process ${title}: SIGWINCH has the process's resized`,
    CLAUSE,
    async (sandbox) => {
      const { container, build } = await running(sandbox);
      const file = sandbox.path("process.json");
      const args = ["sh", "-c", RESIZED];
      writeFileSync(file, JSON.stringify({ ...container.config.process, terminal: true, args }));
      const flags = ["--process", file, "--pid-file", sandbox.path("pidfile")];
      const result = await container.exec([], {
        globals: globals(sandbox),
        flags,
        wrapper: onTerminal(streams),
      });
      expect(result.stdout.replaceAll("\r", "")).toBe(SIZES);
      expect(result.code).toBe(3);
      await build.kill();
    },
    deviations(streams),
  );
}
