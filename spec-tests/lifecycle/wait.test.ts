import { existsSync, readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { expect, type TestContext } from "vitest";
import type { Container } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import { counting, criuSpec, imagesIn, restore, succeeded } from "../harness/helpers/checkpoint.ts";
import { checkReadme } from "../harness/helpers/readme.ts";
import { startUnderSubreaper } from "../harness/helpers/subreaper.ts";
import { rangeShell } from "../harness/host/user.ts";
import { parseObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import type { Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "practice of docker wait and podman wait";
const NEITHER = { both: "has no such command" };

function wait(sandbox: Sandbox, ...containers: readonly Container[]): Promise<Result> {
  return sandbox.invoke(["wait", ...containers.map(({ id }) => id)]);
}

/** Runs `wait`, and does something as soon as it waits for so many containers. */
function waitWhile(
  sandbox: Sandbox,
  containers: readonly Container[],
  action: () => Promise<void> | void,
  count = containers.length,
): Promise<Result> {
  return sandbox.invoke(["wait", ...containers.map(({ id }) => id)], {
    whileRunning: async (pid) => {
      await untilItWaits(pid, count);
      await action();
    },
  });
}

function printed(stdout: string): Result {
  return { code: 0, stdout, stderr: "" };
}

/** A running container that exits with this code when `end` is called. */
async function endless(
  sandbox: Sandbox,
  code: number,
): Promise<{ readonly container: Container; readonly end: () => void }> {
  const container = sandbox.shell(`until [ -e /tmp/end ]; do sleep 0.02; done; exit ${code}`, (config) => {
    config.root.readonly = false;
  });
  await container.started();
  return { container, end: () => container.writeFile("tmp/end", "") };
}

/** Waits until the process that polls has opened the pidfd of each container. */
async function untilItWaits(pid: number, count: number): Promise<void> {
  const pidfds = () =>
    Array.from({ length: 64 }, (_, fd) => descriptor(pid, fd)).filter((text) => /^Pid:\t[1-9]/m.test(text))
      .length;
  // A runtime without this command ends at once.
  const hasEnded = () => !existsSync(`/proc/${pid}/exe`);
  await expect.poll(() => hasEnded() || pidfds() === count, { timeout: 20_000 }).toBe(true);
  expect(pidfds()).toBe(count);
}

function descriptor(pid: number, fd: number): string {
  try {
    return readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
  } catch {
    return "";
  }
}

/** The kernel keeps the exit code of a process that is reaped while somebody waits for it. */
function skipBefore615(context: TestContext): void {
  const [major = 0, minor = 0] = release().split(".").map(Number.parseFloat);
  if (major < 6 || (major === 6 && minor < 15))
    context.skip("before Linux 6.15, the exit code is lost if the parent reaps the process first");
}

/** Waits until a process is gone: it has ended, and has been reaped. */
async function untilReaped(pid: number): Promise<void> {
  await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 20_000 }).toBe(false);
}

spec(
  "wait, running: returns when the container stops, and prints the exit code",
  CLAUSE,
  async (sandbox, context) => {
    skipBefore615(context);
    const { container, end } = await endless(sandbox, 7);
    const result = await waitWhile(sandbox, [container], async () => {
      expect((await container.state()).status).toBe("running");
      end();
    });
    expect(result).toEqual(printed("7\n"));
    expect((await container.state()).status).toBe("stopped");
  },
  NEITHER,
);

spec(
  "wait, the container is killed: 128 and the number of the signal",
  CLAUSE,
  async (sandbox, context) => {
    skipBefore615(context);
    const container = await running(sandbox);
    const result = await waitWhile(sandbox, [container], async () => {
      expect((await container.kill("KILL")).code).toBe(0);
    });
    expect(result).toEqual(printed("137\n"));
  },
  NEITHER,
);

spec(
  "wait, created: waits through the start",
  CLAUSE,
  async (sandbox, context) => {
    skipBefore615(context);
    const container = sandbox.shell("exit 5");
    await container.created();
    const result = await waitWhile(sandbox, [container], async () => {
      expect((await container.start()).code).toBe(0);
    });
    expect(result).toEqual(printed("5\n"));
  },
  NEITHER,
);

spec(
  "wait, deleted by force meanwhile: exit code 137, nothing left",
  CLAUSE,
  async (sandbox, context) => {
    skipBefore615(context);
    const container = await running(sandbox);
    const result = await waitWhile(sandbox, [container], async () => {
      expect((await container.delete("--force")).code).toBe(0);
    });
    expect(result).toEqual(printed("137\n"));
    expect(await sandbox.traces()).toEqual([]);
  },
  NEITHER,
);

spec(
  "wait, paused: waits until it is resumed and has stopped",
  CLAUSE,
  async (sandbox, context) => {
    skipBefore615(context);
    const { container, end } = await endless(sandbox, 4);
    expect((await sandbox.invoke(["pause", container.id])).code).toBe(0);
    end();
    const result = await waitWhile(sandbox, [container], async () => {
      expect((await container.state()).status).toBe("paused");
      expect((await sandbox.invoke(["resume", container.id])).code).toBe(0);
    });
    expect(result).toEqual(printed("4\n"));
  },
  NEITHER,
);

spec(
  "wait for several containers: their exit codes in the order of the arguments, whoever ends first",
  CLAUSE,
  async (sandbox, context) => {
    skipBefore615(context);
    const [first, second] = [await endless(sandbox, 1), await endless(sandbox, 2)];
    const { pid: secondPid } = await second.container.state();
    const result = await waitWhile(sandbox, [first.container, second.container], async () => {
      second.end();
      await untilReaped(secondPid);
      first.end();
    });
    expect(result).toEqual(printed("1\n2\n"));
  },
  NEITHER,
);

spec(
  "wait, stopped, its parent has not reaped it: state has had the exit code, and wait prints it",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("exit 6");
    const subreaper = startUnderSubreaper(sandbox, container, { keepZombie: true });
    expect(await subreaper.report()).toMatchObject({ parent: true });
    const state = parseObject((await container.stateCommand()).stdout);
    expect(state).toMatchObject({ status: "stopped", pid: 0, exitCode: 6 });
    expect(await wait(sandbox, container)).toEqual(printed("6\n"));
    subreaper.release();
    expect(await subreaper.report()).toMatchObject({ exit: 6 });
    // Noted by wait: the process is gone.
    expect(await wait(sandbox, container, container)).toEqual(printed("6\n6\n"));
  },
  NEITHER,
);

spec(
  "wait, its parent has not reaped it, by a caller who may not trace it: unknown, and the warning says so",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("exit 6", (config) => {
      config.process.user = { uid: 1000, gid: 1000 };
    });
    const subreaper = startUnderSubreaper(sandbox, container, { keepZombie: true });
    expect(await subreaper.report()).toMatchObject({ parent: true });
    const wrapper = ["setpriv", "--bounding-set", "-sys_ptrace", "--"];
    const result = await sandbox.invoke(["wait", container.id], { wrapper });
    expect(result).toMatchObject({ code: 3, stdout: "unknown\n" });
    expect(result.stderr).toContain(" is unknown: its parent has not reaped the process yet, ");
    subreaper.release();
    expect(await subreaper.report()).toMatchObject({ exit: 6 });
  },
  NEITHER,
);

spec(
  "wait, stopped and reaped before: unknown, a warning that says why, exit 3; the codes of others are printed",
  CLAUSE,
  async (sandbox, context) => {
    skipBefore615(context);
    const lost = sandbox.shell("read -r line; exit 7");
    await lost.created();
    const { pid } = await lost.state();
    expect((await lost.start()).code).toBe(0);
    await untilReaped(pid);
    const { container: other, end } = await endless(sandbox, 2);
    const result = await waitWhile(
      sandbox,
      [lost, other],
      async () => {
        end();
      },
      1,
    );
    expect(result).toMatchObject({ code: 3, stdout: "unknown\n2\n" });
    expect(result.stderr).toMatch(
      /^\S+ level=warning msg="the exit code of container \S+ is unknown: [^\n]+"\n$/,
    );
    expect(parseObject((await lost.stateCommand()).stdout)).not.toHaveProperty("exitCode");
  },
  NEITHER,
);

spec(
  "wait, afterwards: state and list have the exit code, and wait prints it again",
  "runtime.md, State: may include additional properties",
  async (sandbox, context) => {
    skipBefore615(context);
    const { container, end } = await endless(sandbox, 0);
    expect(parseObject((await container.stateCommand()).stdout)).not.toHaveProperty("exitCode");
    const { pid } = await container.state();
    const result = await waitWhile(sandbox, [container], async () => {
      end();
    });
    expect(result).toEqual(printed("0\n"));
    await untilReaped(pid);
    const state = { id: container.id, status: "stopped", exitCode: 0 };
    expect(parseObject((await container.stateCommand()).stdout)).toMatchObject(state);
    const { stdout } = await sandbox.invoke(["list", "--format", "json"]);
    expect(JSON.parse(stdout)).toMatchObject([state]);
    expect(await wait(sandbox, container)).toEqual(printed("0\n"));
  },
  NEITHER,
);

spec(
  "run --keep, afterwards: state has the exit code, and wait prints it",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("exit 9");
    expect((await container.run({ flags: ["--keep"] })).code).toBe(9);
    expect(parseObject((await container.stateCommand()).stdout)).toMatchObject({ exitCode: 9 });
    expect(await wait(sandbox, container)).toEqual(printed("9\n"));
  },
  NEITHER,
);

spec(
  "wait, an unknown id among others: error at once, in the words that engines match",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const result = await sandbox.invoke(["wait", container.id, `${sandbox.tag}x`]);
    expectRefusal(result, "container does not exist");
    expect((await container.state()).status).toBe("running");
  },
  NEITHER,
);

spec(
  "wait, SIGTERM: wait ends, the container runs on",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const result = await sandbox.invoke(["wait", container.id], {
      whileRunning: async (pid) => {
        await untilItWaits(pid, 1);
        process.kill(pid, "SIGTERM");
      },
    });
    expect(result).toMatchObject({ code: 143, stdout: "" });
    expect((await container.state()).status).toBe("running");
  },
  NEITHER,
);

criuSpec(
  "wait, restored in the background: the exit code",
  CLAUSE,
  async (sandbox, context) => {
    skipBefore615(context);
    const container = await counting(sandbox);
    const images = imagesIn(sandbox);
    const flags = ["checkpoint", ...images.flags, container.id];
    succeeded(await sandbox.invoke(flags), images, "dump.log");
    succeeded(await restore(sandbox, container, images), images, "restore.log");
    const result = await waitWhile(sandbox, [container], async () => {
      expect((await container.kill("KILL")).code).toBe(0);
    });
    expect(result).toEqual(printed("137\n"));
  },
  NEITHER,
);

/** Waits until a `wait` of this sandbox waits for one container, whoever has started it. Returns its pid. */
async function untilSomebodyWaits({ root }: Sandbox): Promise<number> {
  const waiting = () => pids().find((pid) => commandLine(pid).includes(`${root}\0wait\0`)) ?? 0;
  await expect.poll(waiting, { timeout: 20_000 }).toBeGreaterThan(0);
  const pid = waiting();
  await untilItWaits(pid, 1);
  return pid;
}

function pids(): number[] {
  return readdirSync("/proc").map(Number).filter(Number.isInteger);
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

spec(
  "wait by a user who is not root, for a process of another of his ids: the exit code; state has it, too",
  CLAUSE,
  async (sandbox, context) => {
    skipBefore615(context);
    const container = rangeShell(sandbox, "until [ -e /tmp/end ]; do sleep 0.02; done; exit 7", (config) => {
      config.process.user = { uid: 5, gid: 6 };
    });
    await container.started();
    const waiting = wait(sandbox, container);
    await untilSomebodyWaits(sandbox);
    container.writeFile("tmp/end", "");
    expect(await waiting).toEqual(printed("7\n"));
    expect(parseObject((await container.stateCommand()).stdout)).toMatchObject({ exitCode: 7 });
  },
  NEITHER,
);

spec(
  "wait in the page of the example: prints what the page says",
  "examples/wait",
  async (sandbox, context) => {
    skipBefore615(context);
    const detached = async (id: string, script: string) => {
      const container = sandbox.shell(script, (config) => {
        config.root.readonly = false;
      });
      const flags = ["run", "--detach", "--bundle", container.bundle, "--pid-file", sandbox.path(id), id];
      expect((await sandbox.invoke(flags, { stdout: "/dev/null" })).code).toBe(0);
      sandbox.atEnd(async () => void (await sandbox.invoke(["delete", "--force", id])));
      return container;
    };
    const untilEnd = (code: number) => `until [ -e /tmp/end ]; do sleep 0.02; done; exit ${code}`;
    const inOrder = [await detached("web", untilEnd(7)), await detached("db", untilEnd(0))];
    await detached("box", "sleep 1000");
    await detached("late", "exit 1");
    await untilReaped(Number(readFileSync(sandbox.path("late"), "utf8")));
    const page = checkReadme(sandbox, "wait", { stable: (text) => text.replace(/time="[^"]*"/g, "time=T") });
    const ends = async () => {
      for (const container of inOrder) {
        const pid = await untilSomebodyWaits(sandbox);
        container.writeFile("tmp/end", "");
        await untilReaped(pid);
      }
    };
    await Promise.all([page, ends()]);
  },
  NEITHER,
);
