import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { expect, type TestContext } from "vitest";
import { type Config, DEFAULT_PATH, type Process, type Scheduler } from "../harness/config.ts";
import { running } from "../harness/exec.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const RUNC_TOO_OLD = { reason: "1.1 is older than these properties, and ignores them", before: "1.3" };
const NO_SCHEDULER = { reason: "1.1 is older than the scheduler, and ignores it", before: "1.2" };
const IGNORED_BY_RUNC =
  "memoryPolicy came with 1.4; personality flags, a missing priority and properties left out for exec are ignored, CPU numbers end at 1023, and the scheduler is set with the container's rights";
const LEFT_TO_THE_KERNEL =
  "attributes are not checked, and the kernel ignores those of other policies; DEADLINE fails when the affinity is reset after it";
const DEADLINE_FAILS = { reason: LEFT_TO_THE_KERNEL, before: "1.28" };
const EXEC_WITHOUT_SCHEDULER =
  "exec has neither the scheduler of config.json nor, in 1.21, all of execCPUAffinity";
const EXEC_WITHOUT_AFFINITY = { reason: EXEC_WITHOUT_SCHEDULER, before: "1.28" };

const SCHEDULER_TOO_LATE = {
  reason: "the parent sets the scheduler of exec, and the program may look too early",
  sometimes: true,
} as const;

const SCHEDULER = "config.md, process.scheduler";
const IO_PRIORITY = "config.md, process.ioPriority";
const AFFINITY = "config.md, process.execCPUAffinity";
const OTHER_USER = { uid: 1000, gid: 1000 };

/** Skips the test, with the command's error, unless the host lets a process do what the container is to do. */
function needs(context: TestContext, ...command: readonly [string, ...string[]]): void {
  const [file, ...args] = command;
  const { status, stderr } = spawnSync(file, args, { encoding: "utf8" });
  if (status !== 0) context.skip(`this machine denies ${command.join(" ")}: ${stderr.trim()}`);
}

/** Policy, nice value and real-time priority of a process: proc_pid_stat(5). */
function scheduling(pid: number): { policy: number; nice: number; priority: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const field = (number: number) => Number(fields[number - 3]);
  return { policy: field(41), nice: field(19), priority: field(40) };
}

function sleeper(config: Config): void {
  config.process.args = ["sleep", "1000"];
  config.process.user = OTHER_USER;
}

const POLICIES: readonly (readonly [Scheduler, object, string[]])[] = [
  [{ policy: "SCHED_OTHER", nice: 7 }, { policy: 0, nice: 7, priority: 0 }, ["true"]],
  [{ policy: "SCHED_OTHER", nice: -5 }, { policy: 0, nice: -5, priority: 0 }, ["nice", "-n", "-5", "true"]],
  [{ policy: "SCHED_OTHER" }, { policy: 0, nice: 0, priority: 0 }, ["true"]],
  [{ policy: "SCHED_BATCH", nice: 3 }, { policy: 3, nice: 3, priority: 0 }, ["true"]],
  [{ policy: "SCHED_IDLE" }, { policy: 5, nice: 0, priority: 0 }, ["true"]],
  // These policies ignore a nice value: sched_setattr(2).
  [{ policy: "SCHED_IDLE", nice: 6 }, { policy: 5, nice: 0, priority: 0 }, ["true"]],
  [
    { policy: "SCHED_FIFO", priority: 11, nice: 5 },
    { policy: 1, nice: 0, priority: 11 },
    ["chrt", "-f", "11", "true"],
  ],
  [
    { policy: "SCHED_RR", priority: 99, nice: -3 },
    { policy: 2, nice: 0, priority: 99 },
    ["chrt", "-r", "99", "true"],
  ],
  [
    { policy: "SCHED_FIFO", priority: 11 },
    { policy: 1, nice: 0, priority: 11 },
    ["chrt", "-f", "11", "true"],
  ],
  [{ policy: "SCHED_RR", priority: 99 }, { policy: 2, nice: 0, priority: 99 }, ["chrt", "-r", "99", "true"]],
];

const policyDeviations = byCase(
  {
    runc: RUNC_TOO_OLD,
    cases: ["SCHED_OTHER 7", "SCHED_OTHER -5", "SCHED_BATCH 3", "SCHED_IDLE 0", "SCHED_FIFO 0", "SCHED_RR 0"],
  },
  { runc: NO_SCHEDULER, cases: ["SCHED_IDLE 6", "SCHED_FIFO 5", "SCHED_RR -3"] },
);

for (const [scheduler, expected, [file = "", ...args]] of POLICIES) {
  const { policy, nice = 0 } = scheduler;
  spec(
    `create, scheduler ${policy}, nice ${nice}: the program has them`,
    SCHEDULER,
    async (sandbox, context) => {
      needs(context, file, ...args);
      const container = sandbox.container((config) => {
        sleeper(config);
        config.process.scheduler = scheduler;
      });
      await container.started();
      expect(scheduling((await container.state()).pid)).toEqual(expected);
    },
    policyDeviations(`${policy} ${nice}`),
  );
}

const DEADLINE = { runtime: 10_000_000, deadline: 20_000_000, period: 30_000_000 };

spec(
  "create, scheduler SCHED_DEADLINE: runtime, deadline and period are set",
  SCHEDULER,
  async (sandbox, context) => {
    needs(context, "chrt", "-d", "-T", "10000000", "-D", "20000000", "-P", "30000000", "0", "true");
    const container = sandbox.container((config) => {
      sleeper(config);
      config.process.scheduler = { policy: "SCHED_DEADLINE", ...DEADLINE };
    });
    await container.started();
    const { pid } = await container.state();
    expect(execFileSync("chrt", ["-p", String(pid)], { encoding: "utf8" })).toMatch(
      /SCHED_DEADLINE[\s\S]*10000000\/20000000\/30000000/,
    );
  },
  { crun: DEADLINE_FAILS, runc: RUNC_TOO_OLD },
);

spec(
  "create, scheduler SCHED_FLAG_RESET_ON_FORK: children have the usual policy",
  SCHEDULER,
  async (sandbox, context) => {
    needs(context, "chrt", "-f", "5", "true");
    const container = sandbox.shell("sleep 1000 & wait", (config) => {
      config.process.scheduler = { policy: "SCHED_FIFO", priority: 5, flags: ["SCHED_FLAG_RESET_ON_FORK"] };
    });
    await container.started();
    const { pid } = await container.state();
    const children = () => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    await expect.poll(children).not.toBe("");
    expect(scheduling(pid)).toEqual({ policy: 1, nice: 0, priority: 5 });
    expect(scheduling(Number(children()))).toEqual({ policy: 0, nice: 0, priority: 0 });
  },
  { runc: RUNC_TOO_OLD },
);

const keptFlagDeviations = byCase({ runc: RUNC_TOO_OLD, cases: ["SCHED_FLAG_KEEP_POLICY"] });

for (const [flag, setUp] of [
  ["SCHED_FLAG_KEEP_POLICY", ["-b", "0"]],
  ["SCHED_FLAG_KEEP_PARAMS", ["-b", "0"]],
] as const) {
  spec(
    `create, scheduler ${flag}: the caller's setting stays`,
    SCHEDULER,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        sleeper(config);
        config.process.scheduler = { policy: "SCHED_BATCH", flags: [flag] };
      });
      await container.created({ wrapper: ["chrt", ...setUp, "nice", "-n", "4"] });
      await container.start();
      const { policy, nice } = scheduling((await container.state()).pid);
      // The policy of both is the same one; without the flag the nice value would be the 0 of the config.
      expect({ policy, nice }).toEqual({ policy: 3, nice: flag === "SCHED_FLAG_KEEP_PARAMS" ? 4 : 0 });
    },
    keptFlagDeviations(flag),
  );
}

const knownFlagDeviations = byCase({
  crun: DEADLINE_FAILS,
  cases: ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"],
});

for (const [flag, scheduler] of [
  ["SCHED_FLAG_UTIL_CLAMP_MIN", { policy: "SCHED_OTHER" }],
  ["SCHED_FLAG_UTIL_CLAMP_MAX", { policy: "SCHED_OTHER" }],
  ["SCHED_FLAG_RECLAIM", { policy: "SCHED_DEADLINE", ...DEADLINE }],
  ["SCHED_FLAG_DL_OVERRUN", { policy: "SCHED_DEADLINE", ...DEADLINE }],
] as const) {
  spec(
    `create, scheduler ${flag}: accepted, unless the kernel denies it`,
    SCHEDULER,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        sleeper(config);
        config.process.scheduler = { ...scheduler, flags: [flag] };
      });
      const result = await container.create();
      if (result.code !== 0) expectRefusal(result, /sched_?setattr|setting scheduler/i);
      else expect((await container.state()).status).toBe("created");
    },
    knownFlagDeviations(flag),
  );
}

spec(
  "create, scheduler SCHED_ISO, which no kernel has: an error that names it",
  SCHEDULER,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.scheduler = { policy: "SCHED_ISO" };
    });
    expectRefusal(await container.create(), /SCHED_ISO|setting scheduler/);
    expect(await sandbox.traces()).toEqual([]);
  },
  { runc: RUNC_TOO_OLD },
);

spec(
  "create, scheduler in a user namespace: scheduled with the rights of the caller",
  SCHEDULER,
  async (sandbox, context) => {
    needs(context, "chrt", "-r", "3", "true");
    needs(context, "ionice", "-c", "1", "-n", "2", "true");
    const container = sandbox.container((config) => {
      sleeper(config);
      config.process.scheduler = { policy: "SCHED_RR", priority: 3 };
      config.process.ioPriority = { class: "IOPRIO_CLASS_RT", priority: 2 };
      config.linux.namespaces.push({ type: "user" });
      const mappings = [{ containerID: 0, hostID: 0, size: 2000 }];
      Object.assign(config.linux, { uidMappings: mappings, gidMappings: mappings });
    });
    await container.started();
    const { pid } = await container.state();
    expect(scheduling(pid)).toMatchObject({ policy: 2, priority: 3 });
    expect(ioPriority(pid)).toBe("realtime: prio 2");
  },
  { runc: IGNORED_BY_RUNC },
);

const WRONG: readonly (readonly [string, Partial<Process> | object, string])[] = [
  ["policy unknown", { scheduler: { policy: "SCHED_LOTTERY" } }, "/process/scheduler/policy"],
  ["no policy", { scheduler: { nice: 1 } }, "/process/scheduler/policy"],
  ["nice 20", { scheduler: { policy: "SCHED_OTHER", nice: 20 } }, "/process/scheduler/nice"],
  ["nice -21", { scheduler: { policy: "SCHED_BATCH", nice: -21 } }, "/process/scheduler/nice"],
  [
    "priority with SCHED_OTHER",
    { scheduler: { policy: "SCHED_OTHER", priority: 1 } },
    "/process/scheduler/priority",
  ],
  ["SCHED_FIFO without priority", { scheduler: { policy: "SCHED_FIFO" } }, "/process/scheduler/priority"],
  ["priority 100", { scheduler: { policy: "SCHED_RR", priority: 100 } }, "/process/scheduler/priority"],
  [
    "flag unknown",
    { scheduler: { policy: "SCHED_OTHER", flags: ["SCHED_FLAG_X"] } },
    "/process/scheduler/flags/0",
  ],
  [
    "runtime with SCHED_OTHER",
    { scheduler: { policy: "SCHED_OTHER", runtime: 1 } },
    "/process/scheduler/runtime",
  ],
  [
    "deadline with SCHED_RR",
    { scheduler: { policy: "SCHED_RR", priority: 1, deadline: 1 } },
    "/process/scheduler/deadline",
  ],
  [
    "period with SCHED_BATCH",
    { scheduler: { policy: "SCHED_BATCH", period: 1 } },
    "/process/scheduler/period",
  ],
  ["SCHED_DEADLINE alone", { scheduler: { policy: "SCHED_DEADLINE" } }, "/process/scheduler"],
  [
    "runtime above deadline",
    { scheduler: { policy: "SCHED_DEADLINE", runtime: 3000, deadline: 2000 } },
    "/process/scheduler",
  ],
  ["class unknown", { ioPriority: { class: "IOPRIO_CLASS_NONE", priority: 1 } }, "/process/ioPriority/class"],
  ["no class", { ioPriority: { priority: 1 } }, "/process/ioPriority/class"],
  ["no priority", { ioPriority: { class: "IOPRIO_CLASS_BE" } }, "/process/ioPriority/priority"],
  [
    "I/O priority 8",
    { ioPriority: { class: "IOPRIO_CLASS_BE", priority: 8 } },
    "/process/ioPriority/priority",
  ],
  [
    "I/O priority -1",
    { ioPriority: { class: "IOPRIO_CLASS_BE", priority: -1 } },
    "/process/ioPriority/priority",
  ],
  ["CPU list backwards", { execCPUAffinity: { initial: "3-1" } }, "/process/execCPUAffinity/initial"],
  ["CPU list of letters", { execCPUAffinity: { final: "all" } }, "/process/execCPUAffinity/final"],
  ["CPU number beyond all", { execCPUAffinity: { final: "0,99999" } }, "/process/execCPUAffinity/final"],
];

const refusalDeviations = byCase(
  {
    runc: RUNC_TOO_OLD,
    cases: [
      "policy unknown",
      "no policy",
      "priority with SCHED_OTHER",
      "SCHED_FIFO without priority",
      "priority 100",
      "flag unknown",
      "SCHED_DEADLINE alone",
      "runtime above deadline",
      "class unknown",
      "no class",
      "I/O priority 8",
      "I/O priority -1",
    ],
  },
  {
    crun: LEFT_TO_THE_KERNEL,
    runc: RUNC_TOO_OLD,
    cases: [
      "nice 20",
      "nice -21",
      "runtime with SCHED_OTHER",
      "deadline with SCHED_RR",
      "period with SCHED_BATCH",
    ],
  },
  { crun: LEFT_TO_THE_KERNEL, runc: IGNORED_BY_RUNC, cases: ["no priority"] },
  {
    crun: EXEC_WITHOUT_SCHEDULER,
    runc: RUNC_TOO_OLD,
    cases: ["CPU list backwards", "CPU list of letters", "CPU number beyond all"],
  },
);

for (const [situation, part, pointer] of WRONG) {
  spec(
    `create, scheduling, ${situation}: error that names the property`,
    `${SCHEDULER} and after`,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        Object.assign(config.process, part);
      });
      expectRefusal(await container.create(), IS_RUNTS ? `${pointer}: ` : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    refusalDeviations(situation),
  );
}

function ioPriority(pid: number): string {
  return execFileSync("ionice", ["-p", String(pid)], { encoding: "utf8" }).trim();
}

for (const [wanted, expected, number] of [
  [{ class: "IOPRIO_CLASS_BE", priority: 6 }, "best-effort: prio 6", "2"],
  [{ class: "IOPRIO_CLASS_BE", priority: 0 }, "best-effort: prio 0", "2"],
  [{ class: "IOPRIO_CLASS_RT", priority: 3 }, "realtime: prio 3", "1"],
  [{ class: "IOPRIO_CLASS_IDLE", priority: 7 }, "idle", "3"],
] as const) {
  spec(
    `create, ioPriority ${wanted.class} ${wanted.priority}: the program and its children have it`,
    IO_PRIORITY,
    async (sandbox, context) => {
      needs(context, "ionice", "-c", number, "true");
      const container = sandbox.shell("sleep 1000 & wait", (config) => {
        config.process.ioPriority = wanted;
        config.process.user = OTHER_USER;
      });
      await container.started();
      const { pid } = await container.state();
      const children = () => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
      await expect.poll(children).not.toBe("");
      expect(ioPriority(pid)).toBe(expected);
      expect(ioPriority(Number(children()))).toBe(expected);
    },
    { runc: RUNC_TOO_OLD },
  );
}

const SHOW = ["sh", "-c", "cut -d ' ' -f 19,41 /proc/$$/stat; ionice -p $$"];

spec(
  "exec: scheduler and I/O priority of the container's process",
  SCHEDULER,
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.process.scheduler = { policy: "SCHED_BATCH", nice: 9 };
      config.process.ioPriority = { class: "IOPRIO_CLASS_BE", priority: 5 };
    });
    expect((await container.exec(SHOW)).stdout).toBe("9 3\nbest-effort: prio 5\n");
  },
  { crun: EXEC_WITHOUT_SCHEDULER, runc: RUNC_TOO_OLD },
);

spec(
  "exec --process: scheduler and I/O priority of the file, none of the container's",
  SCHEDULER,
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.process.scheduler = { policy: "SCHED_BATCH", nice: 9 };
    });
    const file = sandbox.path("process.json");
    const process = { args: SHOW, cwd: "/", env: [DEFAULT_PATH], user: { uid: 0, gid: 0 } };
    const ioPriority = { class: "IOPRIO_CLASS_IDLE", priority: 0 };
    writeFileSync(file, JSON.stringify({ ...process, ioPriority, scheduler: { policy: "SCHED_IDLE" } }));
    expect((await container.exec([], { flags: ["--process", file] })).stdout).toMatch(/^0 5\nidle/);
    writeFileSync(file, JSON.stringify(process));
    expect((await container.exec([], { flags: ["--process", file] })).stdout).toMatch(/^0 0\n/);
  },
  {
    crun: SCHEDULER_TOO_LATE,
    runc: IGNORED_BY_RUNC,
  },
);

spec(
  "exec --process, SCHED_RR with a nice value: that policy, the nice value ignored",
  SCHEDULER,
  async (sandbox, context) => {
    needs(context, "chrt", "-r", "3", "true");
    const container = await running(sandbox);
    const file = sandbox.path("process.json");
    const process = { args: SHOW, cwd: "/", env: [DEFAULT_PATH], user: { uid: 0, gid: 0 } };
    writeFileSync(
      file,
      JSON.stringify({ ...process, scheduler: { policy: "SCHED_RR", priority: 3, nice: 4 } }),
    );
    expect((await container.exec([], { flags: ["--process", file] })).stdout).toMatch(/^0 2\n/);
  },
  { crun: SCHEDULER_TOO_LATE, runc: NO_SCHEDULER },
);

const CPUS = ["sed", "-n", "s/Cpus_allowed_list:\\t//p", "/proc/self/status"];
const ONLINE = readFileSync("/sys/devices/system/cpu/online", "utf8").trim();

function twoCpus(context: TestContext): void {
  if (ONLINE === "0") context.skip("this machine has one CPU");
}

const PINNED = ["taskset", "-c", "1"];

const affinityDeviations = byCase(
  {
    crun: EXEC_WITHOUT_SCHEDULER,
    runc: RUNC_TOO_OLD,
    cases: ["initial alone: kept in the container's cgroup", "initial and an empty final: the initial one"],
  },
  {
    crun: { reason: "exec resets the affinity after it has set that of execCPUAffinity", from: "1.28" },
    cases: ["final alone: set after the change of cgroup", "initial and final: the final one"],
  },
  { crun: EXEC_WITHOUT_AFFINITY, runc: RUNC_TOO_OLD, cases: ["empty: every CPU", "a range: all of it"] },
  {
    crun: EXEC_WITHOUT_SCHEDULER,
    runc: IGNORED_BY_RUNC,
    cases: ["CPUs above 1024 that are not there: left out by the kernel"],
  },
);

for (const [situation, execCPUAffinity, expected] of [
  ["initial alone: kept in the container's cgroup", { initial: "0" }, "0"],
  ["final alone: set after the change of cgroup", { final: "1" }, "1"],
  ["initial and final: the final one", { initial: "0", final: "1" }, "1"],
  ["initial and an empty final: the initial one", { initial: "0", final: "" }, "0"],
  ["empty: every CPU", { initial: "", final: "" }, ONLINE],
  ["a range: all of it", { final: "0-1" }, "0-1"],
  ["CPUs above 1024 that are not there: left out by the kernel", { final: "0,4000,65535" }, "0"],
] as const) {
  spec(
    `exec, execCPUAffinity ${situation}`,
    AFFINITY,
    async (sandbox, context) => {
      twoCpus(context);
      const container = await running(sandbox, (config) => {
        config.process.execCPUAffinity = execCPUAffinity;
      });
      expect((await container.exec(CPUS, { wrapper: PINNED })).stdout).toBe(`${expected}\n`);
    },
    affinityDeviations(situation),
  );
}

spec(
  "exec --process, execCPUAffinity: that of the file",
  AFFINITY,
  async (sandbox, context) => {
    twoCpus(context);
    const container = await running(sandbox, (config) => {
      config.process.execCPUAffinity = { final: "0" };
    });
    const file = sandbox.path("process.json");
    const process = { args: CPUS, cwd: "/", env: [DEFAULT_PATH], user: { uid: 0, gid: 0 } };
    writeFileSync(file, JSON.stringify({ ...process, execCPUAffinity: { final: "1" } }));
    expect((await container.exec([], { flags: ["--process", file] })).stdout).toBe("1\n");
  },
  { runc: RUNC_TOO_OLD },
);

spec(
  "exec, execCPUAffinity of CPUs that the machine lacks: error that names the property",
  AFFINITY,
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.process.execCPUAffinity = { final: "8000" };
    });
    const result = await container.exec(["true"]);
    expect(result.code).not.toBe(0);
    const words = /\/process\/execCPUAffinity\/final: .*sched_setaffinity: invalid argument/;
    expect(result.stderr).toMatch(IS_RUNTS ? words : /affinity/i);
  },
  { crun: EXEC_WITHOUT_SCHEDULER, runc: IGNORED_BY_RUNC },
);

spec(
  "run, execCPUAffinity: not applied to the container's init",
  `${AFFINITY}: not applicable to init`,
  async (sandbox, context) => {
    twoCpus(context);
    const container = sandbox.container((config) => {
      config.process.args = CPUS;
      config.process.execCPUAffinity = { initial: "0", final: "0" };
    });
    expect(await container.output()).toBe(`${ONLINE}\n`);
  },
);

spec(
  "exec from a pinned caller: the program may use every CPU",
  "promise: the caller's affinity does not reach the container",
  async (sandbox, context) => {
    twoCpus(context);
    const container = await running(sandbox);
    expect((await container.exec(CPUS, { wrapper: PINNED })).stdout).toBe(`${ONLINE}\n`);
  },
  {
    crun: EXEC_WITHOUT_AFFINITY,
    runc: { reason: "the caller's affinity is kept until runc 1.3", before: "1.3" },
  },
);
