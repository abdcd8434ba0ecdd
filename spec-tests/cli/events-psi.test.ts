import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { expect, type TestContext } from "vitest";
import { type Container, succeed } from "../harness/container.ts";
import { events, lines } from "../harness/helpers/events.ts";
import { checkReadme } from "../harness/helpers/readme.ts";
import { asObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

const PSI = "Linux, Documentation/accounting/psi.rst";
const NO_PSI = { crun: "has neither events nor --pidfd-socket", runc: "has no --psi" };

/** Busy processes as long as /tmp/busy is there: three times as many as CPUs, so that some of them always wait for one. */
const BUSY = `
  busy() { while [ -e /tmp/busy ]; do :; done; }
  while :; do
    for n in $(seq ${3 * availableParallelism()}); do busy & done
    wait
    sleep 0.05
  done`;

async function busyContainer(
  sandbox: Sandbox,
  context: TestContext,
  start = (container: Container) => container.started(),
): Promise<Container> {
  const container = sandbox.shell(BUSY, (config) => {
    config.root.readonly = false;
  });
  container.writeFile("tmp/busy", "");
  await start(container);
  if (!existsSync(pressureFile(container))) context.skip("this kernel has no PSI for cgroups");
  return container;
}

function pressureFile({ id }: Container, file = "cpu.pressure"): string {
  return `/sys/fs/cgroup/${id}/${file}`;
}

/** Microseconds in which a process of the container has waited for a CPU. */
function stall(container: Container): number {
  return Number(/^some .*total=(\d+)$/m.exec(readFileSync(pressureFile(container), "utf8"))?.[1]);
}

function alertsIn(file: string): Record<string, unknown>[] {
  return lines({ stdout: readFileSync(file, "utf8") }).filter(({ type }) => type === "psi");
}

/** A window of 2 s needs no CAP_SYS_RESOURCE. */
const OFTEN = "some:cpu:100ms/2s";

/**
 * Who watches, and for what. In a user namespace of its own a caller has CAP_SYS_RESOURCE, whatever that of the tests has: other code of the
 * kernel watches then.
 */
const WATCHERS: readonly (readonly [who: string, wrapper: readonly string[], threshold: string])[] = [
  ["any caller", [], OFTEN],
  ["a caller with CAP_SYS_RESOURCE", ["unshare", "--user", "--map-root-user"], "some:cpu:100ms/1s"],
];

for (const [who, wrapper, threshold] of WATCHERS)
  spec(
    `events --psi by ${who}, processes wait for a CPU: lines of type psi with the pressure, beside stats, until the container stops`,
    PSI,
    async (sandbox, context) => {
      const container = await busyContainer(sandbox, context);
      const output = sandbox.path("events");
      const flags = ["--interval", "100ms", "--psi", "full:io:2s/2s", "--psi", threshold];
      const result = await sandbox.invoke(["events", ...flags, container.id], {
        stdout: output,
        wrapper,
        whileRunning: async () => {
          await expect.poll(() => alertsIn(output).length, { timeout: 25_000 }).toBeGreaterThan(1);
          expect((await container.kill("KILL")).code).toBe(0);
        },
      });
      expect(result).toMatchObject({ code: 0, stderr: "" });
      const reported = lines(result);
      expect(new Set(reported.map(({ type }) => type))).toEqual(new Set(["stats", "psi"]));
      for (const { id, data } of alertsIn(output)) {
        expect([id, asObject(data).trigger]).toEqual([container.id, threshold]);
        const { some, full } = asObject(asObject(data).psi);
        for (const line of [some, full])
          expect(Object.keys(asObject(line)).sort()).toEqual(["avg10", "avg300", "avg60", "total"]);
        expect(asObject(some).total).toBeGreaterThan(50_000);
      }
    },
    NO_PSI,
  );

spec(
  "events --psi, the container is deleted by force meanwhile: exit 0",
  PSI,
  async (sandbox, context) => {
    const container = await busyContainer(sandbox, context);
    const output = sandbox.path("events");
    const flags = ["--interval", "10ms", "--psi", "full:memory:2s/2s", "--psi", "full:io:2s/2s"];
    const result = await sandbox.invoke(["events", ...flags, container.id], {
      stdout: output,
      whileRunning: async () => {
        await expect.poll(() => readFileSync(output, "utf8")).not.toBe("");
        expect((await container.delete("--force")).code).toBe(0);
      },
    });
    expect(result).toMatchObject({ code: 0, stderr: "" });
  },
  NO_PSI,
);

spec(
  "events --psi, there was pressure before: no line for it, though the kernel takes it for new",
  PSI,
  async (sandbox, context) => {
    const container = await busyContainer(sandbox, context);
    await expect.poll(() => stall(container), { timeout: 25_000 }).toBeGreaterThan(2_500_000);
    rmSync(join(container.rootfs, "tmp/busy"));
    const output = sandbox.path("events");
    const logFile = sandbox.path("log");
    const isFalse = () =>
      existsSync(logFile) && readFileSync(logFile, "utf8").includes("a false event is left out");
    const command = ["--debug", "--log", logFile, "events", "--interval", "50ms", "--psi", "some:cpu:2s/2s"];
    const before = stall(container);
    const result = await sandbox.invoke([...command, container.id], {
      stdout: output,
      whileRunning: async () => {
        await expect.poll(() => readFileSync(output, "utf8")).not.toBe("");
        // The container's own small stalls have the kernel look at its triggers. It does so every 2 s.
        await expect
          .poll(isFalse, { timeout: 10_000 })
          .toBe(true)
          .catch(() => undefined);
        expect((await container.kill("KILL")).code).toBe(0);
      },
    });
    expect(result.code).toBe(0);
    if (!isFalse()) context.skip("this kernel does not take earlier pressure for new");
    // On a busy machine, the small stalls may have become real pressure.
    if (alertsIn(output).length > 0)
      expect(asTotal(alertsIn(output)[0]) - before).toBeGreaterThanOrEqual(1_000_000);
  },
  NO_PSI,
);

/** The total of a line of type psi, in microseconds. */
function asTotal(line: Record<string, unknown> | undefined): number {
  return Number(asObject(asObject(asObject(line?.data).psi).some).total);
}

spec(
  "events --psi, cgroup.pressure becomes 0: a warning, and events goes on; afterwards --psi is refused by name",
  PSI,
  async (sandbox, context) => {
    const container = await busyContainer(sandbox, context);
    const control = pressureFile(container, "cgroup.pressure");
    if (!existsSync(control)) context.skip("before Linux 6.1 there is no cgroup.pressure");
    const output = sandbox.path("events");
    const result = await sandbox.invoke(
      ["events", "--interval", "50ms", "--psi", "full:io:2s/2s", container.id],
      {
        stdout: output,
        whileRunning: async () => {
          await expect.poll(() => readFileSync(output, "utf8")).not.toBe("");
          writeFileSync(control, "0");
          const count = () => lines({ stdout: readFileSync(output, "utf8") }).length;
          const reached = count();
          await expect.poll(count).toBeGreaterThan(reached + 2);
          expectRefusal(
            await events(sandbox, container, "--psi", OFTEN),
            `--psi ${OFTEN}: /${container.id}/cpu.pressure: the cgroup does not count pressure: its cgroup.pressure is 0`,
          );
          expect((await container.kill("KILL")).code).toBe(0);
        },
      },
    );
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(
      /^\S+ level=warning msg="--psi full:io:2s\/2s: the kernel does not watch the pressure of container \S+ any more"\n$/,
    );
  },
  NO_PSI,
);

spec(
  "events --psi without CAP_SYS_RESOURCE, a window of 1s: an error that names the option and the capability",
  PSI,
  async (sandbox, context) => {
    skipWithout(context, "setpriv");
    const container = await busyContainer(sandbox, context);
    const result = await sandbox.invoke(["events", "--psi", "some:cpu:100ms/1s", container.id], {
      wrapper: ["setpriv", "--bounding-set", "-sys_resource"],
    });
    expectRefusal(result, /^runts: --psi some:cpu:100ms\/1s: .*CAP_SYS_RESOURCE/);
  },
  NO_PSI,
);

spec(
  "events --psi in the page of the example: prints what the page says",
  "examples/pressure",
  async (sandbox, context) => {
    sandbox.atEnd(async () => void (await sandbox.invoke(["delete", "--force", "web"])));
    await busyContainer(sandbox, context, async ({ bundle }) => {
      const run = ["run", "--detach", "--bundle", bundle, "web"];
      return succeed("run", await sandbox.invoke(run, { stdout: "/dev/null" }));
    });
    const stable = (text: string) => text.replace(/("(?:avg\d+|total)":)[\d.]+/g, "$1N");
    await checkReadme(sandbox, "pressure", { stable });
  },
  NO_PSI,
);

for (const [flags, words] of [
  [["--psi", "memory"], 'invalid value "memory" for flag -psi: must be some|full:cpu|memory|io:STALL/WINDOW'],
  [["--psi", "some:memory:1s/11s"], "for flag -psi: the window must be from 500ms to 10s"],
  [["--psi", "some:memory:2s/1s"], "for flag -psi: the stall must be from 1us to the window"],
  [["--psi", "some:memory:1s/2s", "--stats"], "--psi can't be used with --stats"],
] as const) {
  spec(
    `events ${flags.join(" ")}: error`,
    PSI,
    async (sandbox) => expectRefusal(await sandbox.invoke(["events", ...flags, "nobody"]), words),
    NO_PSI,
  );
}
