import { spawn } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { expect } from "vitest";
import { type Config, setNamespace } from "../harness/config.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const NO_TIME_NAMESPACES = { reason: "is older than time namespaces", before: "1.3" };
const TIME_NOT_JOINED = "a time namespace is not joined, and only the kernel checks timeOffsets";

const CLAUSE = "config-linux.md, Offset for Time Namespace";
const DAY = 86_400;

function withTime(config: Config): void {
  setNamespace(config, "time", { type: "time" });
}

spec(
  "run, timeOffsets: the new time namespace has them",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime", (config) => {
      withTime(config);
      config.linux.timeOffsets = { monotonic: { secs: DAY, nanosecs: 5 }, boottime: { secs: 10 * DAY } };
    });
    const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
    const [monotonic = "", boottime = "", inside = ""] = (await container.output()).trim().split("\n");
    expect(monotonic.trim().split(/\s+/)).toEqual(["monotonic", String(DAY), "5"]);
    expect(boottime.trim().split(/\s+/)).toEqual(["boottime", String(10 * DAY), "0"]);
    expect(Number(inside)).toBeGreaterThanOrEqual(Math.floor(uptime) + 10 * DAY);
  },
  { runc: NO_TIME_NAMESPACES },
);

spec(
  "run, timeOffsets with one clock: the other clock has no offset",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("cat /proc/self/timens_offsets", (config) => {
      withTime(config);
      config.linux.timeOffsets = { boottime: { secs: -1, nanosecs: 7 } };
    });
    expect((await container.output()).trim().split(/\s+/)).toEqual("monotonic 0 0 boottime -1 7".split(" "));
  },
  { runc: NO_TIME_NAMESPACES },
);

spec(
  "create, timeOffsets that the kernel refuses: error that names it, nothing left",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      withTime(config);
      config.linux.timeOffsets = { monotonic: { secs: -1_000_000_000_000 } };
    });
    expectRefusal(await container.create(), IS_RUNTS ? "runts: /linux/timeOffsets: " : undefined);
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "after an error of the kernel in the first steps, the cgroup stays" },
);

/** A process that is in its own time namespace. */
async function holder(sandbox: Sandbox): Promise<string> {
  const child = spawn(
    "unshare",
    ["--time", "--fork", "--kill-child", "sh", "-c", "echo $$; exec sleep 1000"],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const ended = new Promise((resolve) => child.once("close", resolve));
  sandbox.atEnd(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const pid = await new Promise((resolve) => child.stdout.once("data", resolve));
  return `/proc/${String(pid).trim()}/ns/time`;
}

spec(
  "create, namespace time with a path: joined",
  "config-linux.md, Namespaces: path",
  async (sandbox) => {
    const path = await holder(sandbox);
    const container = sandbox.shell("sleep 1000", (config) =>
      setNamespace(config, "time", { type: "time", path }),
    );
    await container.created();
    const { pid } = await container.state();
    expect(readlinkSync(`/proc/${pid}/ns/time`)).toBe(readlinkSync(path));
  },
  { crun: TIME_NOT_JOINED, runc: NO_TIME_NAMESPACES },
);

const namespaceDeviations = byCase(
  {
    crun: {
      reason: "timeOffsets without a time namespace are refused late, and the cgroup may stay",
      sometimes: true,
    },
    runc: NO_TIME_NAMESPACES,
    cases: ["without a time namespace"],
  },
  { crun: TIME_NOT_JOINED, cases: ["with a joined time namespace"] },
);

for (const [situation, joins] of [
  ["without a time namespace", false],
  ["with a joined time namespace", true],
] as const) {
  spec(
    `create, timeOffsets ${situation}: error that names it, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const path = joins ? await holder(sandbox) : undefined;
      sandbox.settle();
      const container = sandbox.container((config) => {
        if (path !== undefined) setNamespace(config, "time", { type: "time", path });
        config.linux.timeOffsets = { monotonic: { secs: DAY } };
      });
      expectRefusal(await container.create(), IS_RUNTS ? "/linux/timeOffsets" : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    namespaceDeviations(situation),
  );
}

const offsetDeviations = byCase({
  crun: TIME_NOT_JOINED,
  cases: ["an unknown clock", "nanosecs beyond a second"],
});

for (const [situation, timeOffsets] of [
  ["an unknown clock", { realtime: { secs: 1 } }],
  ["nanosecs beyond a second", { monotonic: { nanosecs: 1_000_000_000 } }],
  ["secs that are no integer", { monotonic: { secs: 1.5 } }],
] as const) {
  spec(
    `create, timeOffsets, ${situation}: error, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container(withTime);
      const { config } = container;
      container.writeConfig(JSON.stringify({ ...config, linux: { ...config.linux, timeOffsets } }));
      expectRefusal(await container.create(), inOurWords("/linux/timeOffsets/"));
      expect(await sandbox.traces()).toEqual([]);
    },
    offsetDeviations(situation),
  );
}
