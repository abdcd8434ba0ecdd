import { join } from "node:path";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { expect } from "vitest";
import { type Containerd, containerdTests } from "../harness/engines/containerd.ts";
import { failsSinceContainerd, HANDLER, IMAGE } from "../harness/engines/containerd-settings.ts";
import { inPod } from "../harness/engines/pods.ts";
import { childrenOf, openFilesOf, wordsOf } from "../harness/host/processes.ts";
import { RUNTIME } from "../harness/runtime.ts";
import { FILTER_CACHE } from "../harness/sandbox.ts";

const everyday = containerdTests();

/** On a busy machine a pod takes a second. */
const LONG = { timeoutMs: 400_000 };

const KILLS = 8;

const SLEEP = ["sleep", "1000"];

/** Makes a pod with one container that runs. */
async function podWithContainer(engine: Containerd, name: string): Promise<{ pod: string; id: string }> {
  const { cri, directory } = engine;
  const pod = await cri.runPod({ name, handler: HANDLER ?? "", logs: join(directory, "logs") });
  const id = await cri.create(pod, { name, image: IMAGE, command: SLEEP });
  await cri.start(id);
  return { pod, id };
}

/** All that operations on a pod's containers could leave. */
function surroundings(engine: Containerd, shim: number): string[] {
  // Go keeps the pidfd of a child that the shim reaps by itself until its garbage is collected.
  const openFiles = (pid: number): string[] =>
    openFilesOf(pid)
      .filter((path) => path !== "anon_inode:[pidfd]")
      .map((path) => `descriptor: ${path}`);
  const children = (pid: number): string[] =>
    childrenOf(pid).map((child) => `process: ${wordsOf(child).join(" ") || "a zombie"}`);
  return [
    ...[engine.daemonPid, shim].flatMap((pid) => [...openFiles(pid), ...children(pid)]),
    ...engine.cgroupsOfPods(),
    ...engine.traces(),
  ];
}

/** The same as soon as it no longer changes: containerd cleans up a while after it has answered. */
async function settledSurroundings(engine: Containerd, shim: number): Promise<string[]> {
  let last: string[] = [];
  for (;;) {
    const now = surroundings(engine, shim).sort();
    if (now.join("\n") === last.join("\n")) return now;
    last = now;
    await sleep(1000);
  }
}

/** What there is more of than before. */
function growth(before: readonly string[], after: readonly string[]): string[] {
  const rest = [...before];
  return after.filter((entry) => {
    const place = rest.indexOf(entry);
    if (place >= 0) rest.splice(place, 1);
    return place < 0;
  });
}

/** A runtime that has to start cold for once caches its seccomp filter under a name of its own: one more file, and no second one. */
function withoutColdFilter(entries: readonly string[]): string[] {
  const first = entries.findIndex((entry) => entry.includes(`/${FILTER_CACHE}/`));
  return entries.filter((_, index) => index !== first);
}

/** Does something to a pod's containers, which has to leave nothing. */
async function withoutGrowth(
  engine: Containerd,
  pod: string,
  body: (shim: number) => Promise<void>,
): Promise<void> {
  const shim = engine.shimOf(pod);
  const before = await settledSurroundings(engine, shim);
  await body(shim);
  await expect.poll(() => withoutColdFilter(growth(before, surroundings(engine, shim)))).toEqual([]);
}

/** Whether it is a process of the runtime that executes this command. */
function executes(pid: number, command: string): boolean {
  const words = wordsOf(pid);
  return words[0] === RUNTIME && words.includes(command);
}

/** Does something during which the shim calls a command of the runtime, and something else with the runtime's process meanwhile. */
async function meeting(
  shim: number,
  command: string,
  action: () => Promise<unknown>,
  meet: (pid: number) => Promise<void>,
): Promise<void> {
  let over = false;
  const done = action().finally(() => {
    over = true;
  });
  for (let met = false; !met && !over; await turn()) {
    const pid = childrenOf(shim).find((child) => executes(child, command));
    if (pid === undefined) continue;
    met = true;
    await meet(pid);
  }
  await done;
}

function fails(operation: Promise<unknown>): Promise<boolean> {
  return operation.then(
    () => false,
    () => true,
  );
}

/** Kills the runtime at instants that are spread over the time that the command takes, and returns how often it was killed. */
async function killAtInstants(
  shim: number,
  command: string,
  action: () => Promise<unknown>,
): Promise<number> {
  let takesMs = 0;
  await meeting(shim, command, action, async (pid) => {
    const begun = Date.now();
    while (executes(pid, command)) await turn();
    takesMs = Date.now() - begun;
  });
  let kills = 0;
  // On a busy machine all of them may come too late.
  for (let index = 0; index < KILLS || (kills === 0 && index < 5 * KILLS); index++)
    await meeting(shim, command, action, async (pid) => {
      await sleep(((index % KILLS) * takesMs) / KILLS);
      if (!executes(pid, command)) return;
      process.kill(pid, "SIGKILL");
      kills += 1;
    });
  return kills;
}

everyday(
  "CRI, 30 pods at once: all run, execute a probe, stop and are removed",
  async (engine) => {
    const { cri } = engine;
    const names = Array.from({ length: 30 }, (_, index) => `pod-${index}`);
    const made = await Promise.all(names.map((name) => podWithContainer(engine, name)));
    const ids = made.map(({ id }) => id);
    const states = (): Promise<string[]> => Promise.all(ids.map(async (id) => (await cri.status(id)).state));
    expect(await states()).toEqual(ids.map(() => "running"));
    const probes = await Promise.all(ids.map((id) => cri.exec(id, "sh", "-c", "echo alive; exit 3")));
    expect(probes).toEqual(ids.map(() => ({ code: 3, stdout: "alive\n", stderr: "" })));
    await Promise.all(ids.map((id) => cri.stop(id, 0)));
    expect(await states()).toEqual(ids.map(() => "exited"));
    await Promise.all(made.map(({ pod }) => cri.removePod(pod)));
  },
  LONG,
);

everyday(
  "CRI exec, 500 in a row: no descriptor, process, cgroup, mount or file is left",
  async (engine) => {
    await inPod(engine, {}, async (start, pod) => {
      const id = await start();
      const probe = async (number: number): Promise<void> => {
        const code = number % 2;
        expect(await engine.cri.exec(id, "sh", "-c", `exit ${code}`)).toMatchObject({ code });
      };
      for (let number = 0; number < 20; number++) await probe(number);
      await withoutGrowth(engine, pod, async () => {
        for (let number = 0; number < 500; number++) await probe(number);
      });
    });
  },
  LONG,
);

everyday(
  "CRI exec, runtime killed: an error or the probe's result, and nothing is left of it",
  async (engine) => {
    await inPod(engine, {}, async (start, pod) => {
      const id = await start();
      await engine.cri.exec(id, "true");
      await withoutGrowth(engine, pod, async (shim) => {
        let failures = 0;
        const probe = async (): Promise<void> => {
          if (await fails(engine.cri.exec(id, "true"))) failures += 1;
        };
        const kills = await killAtInstants(shim, "exec", probe);
        expect(kills).toBeGreaterThan(0);
        expect(failures).toBeLessThanOrEqual(kills);
      });
      expect((await engine.cri.exec(id, "echo", "again")).stdout).toBe("again\n");
    });
  },
  { ...LONG, runc: { reason: "the temporary file for the pid file stays", sometimes: true } },
);

for (const [operation, command] of [
  ["start", "create"],
  ["start", "start"],
  ["stop", "kill"],
  ["stop", "delete"],
] as const)
  everyday(
    `CRI ${operation}, runtime killed in ${command}: the container can be removed, and nothing is left of it`,
    async (engine) => {
      await inPod(engine, {}, async (start, pod) => {
        await start();
        const { cri } = engine;
        const life = async (): Promise<void> => {
          const id = await cri.create(pod, { name: "brief", image: IMAGE, command: SLEEP });
          const failed = await fails(cri.start(id));
          expect((await cri.status(id)).state).toBe(failed ? "exited" : "running");
          // The kubelet tries it again, too.
          if (await fails(cri.stop(id, 0))) await cri.stop(id, 0);
          await cri.remove(id);
        };
        await life();
        await withoutGrowth(engine, pod, async (shim) => {
          expect(await killAtInstants(shim, command, life)).toBeGreaterThan(0);
        });
      });
    },
    {
      ...LONG,
      ...(command === "create" && {
        runc: "delete --force does not find the cgroup of a killed create",
        ...failsSinceContainerd("2", 9727, {
          reason: "no delete after a create that failed",
          shows: /\/run\/containerd\/runc\/k8s\.io\//,
          sometimes: true,
        }),
      }),
    },
  );

everyday(
  "CRI, shim killed: the pod's containers end, other pods go on, and the pod can be removed",
  async (engine) => {
    const { cri } = engine;
    const [one, other] = [await podWithContainer(engine, "one"), await podWithContainer(engine, "other")];
    const [init, sandbox] = childrenOf(engine.shimOf(one.pod));
    process.kill(engine.shimOf(one.pod), "SIGKILL");
    await expect.poll(async () => (await cri.status(one.id)).state).toBe("exited");
    await expect.poll(async () => (await cri.podInfo(one.pod)).ready).toBe(false);
    await expect.poll(() => [init, sandbox].flatMap((pid) => wordsOf(pid ?? 0))).toEqual([]);
    expect((await cri.exec(other.id, "echo", "alive")).stdout).toBe("alive\n");
    for (const { pod } of [one, other]) await cri.removePod(pod);
  },
  {
    ...LONG,
    ...failsSinceContainerd("2", 10727, { reason: "the pod's containers run on", shows: /'sleep', '1000'/ }),
  },
);

everyday(
  "CRI, containerd killed: pods go on, and after its restart they can be used, stopped and removed",
  async (engine) => {
    const { cri } = engine;
    const { pod, id } = await podWithContainer(engine, "steady");
    const pid = await cri.pid(id);
    await engine.stop("SIGKILL");
    expect(wordsOf(pid)).toEqual(SLEEP);
    await engine.start();
    expect((await cri.podInfo(pod)).ready).toBe(true);
    expect(await cri.pid(id)).toBe(pid);
    expect((await cri.exec(id, "echo", "alive")).stdout).toBe("alive\n");
    await cri.stop(id, 0);
    expect((await cri.status(id)).code).toBe(137);
    await cri.removePod(pod);
  },
  LONG,
);

everyday(
  "CRI, containerd killed while pods start: after its restart all pods can be removed, and nothing is left",
  async (engine) => {
    const { cri } = engine;
    for (const delayMs of [100, 400, 800, 1600]) {
      const names = Array.from({ length: 6 }, (_, index) => `early-${delayMs}-${index}`);
      const starts = Promise.allSettled(names.map((name) => podWithContainer(engine, name)));
      await sleep(delayMs);
      await engine.stop("SIGKILL");
      await starts;
      await engine.start();
      for (const pod of await cri.pods()) await cri.removePod(pod);
      await expect.poll(() => engine.left()).toEqual([]);
    }
  },
  {
    ...LONG,
    ...failsSinceContainerd("2", 10421, {
      reason: "the shims of some pods stay",
      shows: /'shim \d+ /,
      sometimes: true,
    }),
  },
);
