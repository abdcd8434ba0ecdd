import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { CreateOptions } from "../harness/container.ts";
import {
  checkpoint,
  criuSpec,
  imagesIn,
  NO_STREAMS,
  restore,
  startedShell,
  succeeded,
} from "../harness/helpers/checkpoint.ts";
import { openConsole } from "../harness/helpers/console.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";

const CLAUSE = "practice of runc";

/** Prints a rising number without end. */
const TICK = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.02; done";

/** Standard output is a pipe to a process that writes a file, as conmon does. */
function piped(file: string): CreateOptions {
  return {
    stdout: "/dev/null",
    wrapper: ["bash", "-c", 'exec "$@" >  >(exec cat >"$0") 2>/dev/null', file],
  };
}

/** The number of the last whole tick in a file, 0 if there is none. */
function lastTick(file: string): number {
  if (!existsSync(file)) return 0;
  return Number([...readFileSync(file, "utf8").matchAll(/^tick (\d+)\r?\n/gm)].at(-1)?.[1] ?? 0);
}

async function tickAbove(file: string, number: number): Promise<number> {
  await expect.poll(() => lastTick(file)).toBeGreaterThan(number);
  return lastTick(file);
}

criuSpec("restore, stdout was a pipe: the caller's own stdout replaces it", CLAUSE, async (sandbox) => {
  const [before, after] = [sandbox.path("before"), sandbox.path("after")];
  const container = await startedShell(sandbox, TICK, () => undefined, piped(before));
  await tickAbove(before, 3);
  const images = imagesIn(sandbox);
  succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
  const names: unknown = JSON.parse(readFileSync(`${images.images}/descriptors.json`, "utf8"));
  expect(names).toEqual(["/dev/null", expect.stringMatching(/^pipe:\[\d+\]$/), "/dev/null"]);
  const saved = lastTick(before);
  succeeded(await restore(sandbox, container, images, [], piped(after)), images, "restore.log");
  await tickAbove(after, saved);
  // And once more, with the names of the new pipes.
  const second = imagesIn(sandbox, "second");
  succeeded(await checkpoint(sandbox, container, second), second, "dump.log");
  const third = sandbox.path("third");
  const reached = lastTick(after);
  succeeded(await restore(sandbox, container, second, [], piped(third)), second, "restore.log");
  await tickAbove(third, reached);
});

criuSpec("restore --console-socket: the socket gets the terminal's new master", CLAUSE, async (sandbox) => {
  const container = sandbox.shell(
    `stty -echo; read line; ${TICK} & while read word; do echo got $word; done`,
    (config) => {
      config.process.terminal = true;
    },
  );
  const first = await openConsole(sandbox);
  await container.started({ flags: ["--console-socket", first.socket], ...NO_STREAMS });
  await first.received();
  first.type("go\n");
  const saved = await tickAbove(first.file, 3);
  const images = imagesIn(sandbox);
  succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
  await first.output();
  const other = await openConsole(sandbox, "second");
  succeeded(
    await restore(sandbox, container, images, ["--console-socket", other.socket]),
    images,
    "restore.log",
  );
  expect(await other.received()).toMatchObject({ fds: 1, tty: true });
  await tickAbove(other.file, saved);
  other.type("words\n");
  await expect.poll(() => readFileSync(other.file, "utf8")).toContain("got words");
  const { stdout } = await container.exec(["readlink", "/proc/1/fd/0"]);
  expect(stdout).toBe("/dev/pts/0\n");
});

criuSpec(
  "restore --detach without --console-socket, a container with a terminal: refused, nothing left",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell(TICK, (config) => {
      config.process.terminal = true;
    });
    const console = await openConsole(sandbox);
    await container.started({ flags: ["--console-socket", console.socket], ...NO_STREAMS });
    await console.received();
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
    expectRefusal(await restore(sandbox, container, images, [], {}), /without setting console socket/);
    expect((await container.stateCommand()).stderr).toContain("does not exist");
  },
);

const ON_TERMINAL = ["python3", join(import.meta.dirname, "../harness/helpers/on-terminal.py")];

criuSpec(
  "restore in the foreground, a container with a terminal: connected to the caller's terminal",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell(TICK, (config) => {
      config.process.terminal = true;
    });
    const images = imagesIn(sandbox);
    const [before, after] = [sandbox.path("before"), sandbox.path("after")];
    let saved = 0;
    await container.run({
      wrapper: ON_TERMINAL,
      stdout: before,
      whileRunning: async () => {
        saved = await tickAbove(before, 3);
        succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
      },
    });
    const flags = ["restore", "--bundle", container.bundle, ...images.flags, container.id];
    const { code } = await sandbox.invoke(flags, {
      wrapper: ON_TERMINAL,
      stdout: after,
      whileRunning: async () => {
        await tickAbove(after, saved);
        await container.kill("KILL");
      },
    });
    expect(code).toBe(137);
    expect(await sandbox.traces()).toEqual([]);
  },
);

criuSpec(
  "checkpoint, restore --shell-job: a program on the caller's own terminal continues",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell(TICK);
    const images = imagesIn(sandbox);
    const [before, after] = [sandbox.path("before"), sandbox.path("after")];
    let saved = 0;
    await container.run({
      wrapper: ON_TERMINAL,
      stdout: before,
      whileRunning: async () => {
        saved = await tickAbove(before, 3);
        const refused = await checkpoint(sandbox, container, images);
        expectRefusal(refused, IS_RUNTS ? /--shell-job/ : undefined);
        succeeded(await checkpoint(sandbox, container, images, "--shell-job"), images, "dump.log");
      },
    });
    const flags = ["restore", "--shell-job", "--bundle", container.bundle, ...images.flags, container.id];
    await sandbox.invoke(flags, {
      wrapper: ON_TERMINAL,
      stdout: after,
      whileRunning: async () => {
        await tickAbove(after, saved);
        await container.kill("KILL");
      },
    });
    expect(await sandbox.traces()).toEqual([]);
  },
);

criuSpec(
  "checkpoint, restore, stdout was a file of the host: the caller's own stdout replaces it",
  "promise",
  async (sandbox) => {
    const container = sandbox.shell(TICK);
    const file = sandbox.path("log");
    const appending = { stdout: "/dev/null", wrapper: ["sh", "-c", 'exec "$@" >>"$0" 2>/dev/null', file] };
    await container.started(appending);
    const saved = await tickAbove(file, 3);
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
    succeeded(await restore(sandbox, container, images, [], appending), images, "restore.log");
    await tickAbove(file, saved + 3);
    const ticks = [...readFileSync(file, "utf8").matchAll(/^tick (\d+)\n/gm)].map(([, tick]) => Number(tick));
    // No line is lost or printed twice.
    expect(ticks).toEqual(ticks.map((_, index) => index + 1));
  },
);
