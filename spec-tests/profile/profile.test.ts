import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { checkReadme } from "../harness/helpers/readme.ts";
import { giveToMappedRoot, mapIds } from "../harness/host/user-namespace.ts";
import { spec } from "../harness/spec.ts";

interface Event {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly args: Readonly<Record<string, string>>;
}

interface Slice extends Event {
  readonly ts: number;
  readonly dur: number;
}

function readTrace(file: string): Event[] {
  const trace = JSON.parse(readFileSync(file, "utf8"));
  expect(Object.keys(trace).sort()).toEqual(["displayTimeUnit", "otherData", "traceEvents"]);
  return trace.traceEvents;
}

function slices(events: readonly Event[]): Slice[] {
  return events.flatMap((event) =>
    event.ph === "X" && event.ts !== undefined && event.dur !== undefined
      ? [{ ...event, ts: event.ts, dur: event.dur }]
      : [],
  );
}

function rows(events: readonly Event[]): Map<number, string> {
  return new Map(
    events.filter(({ name }) => name === "thread_name").map(({ tid, args }) => [tid, args.name ?? ""]),
  );
}

/** Slices of one thread must contain one another, or not overlap: Trace Event Format. */
function expectNested(found: readonly Slice[]): void {
  const open: Slice[] = [];
  const ROUNDING = 0.002;
  for (const slice of [...found].sort((one, other) => one.ts - other.ts || other.dur - one.dur)) {
    while (open.length > 0 && (open.at(-1)?.ts ?? 0) + (open.at(-1)?.dur ?? 0) <= slice.ts + ROUNDING)
      open.pop();
    const outer = open.at(-1);
    if (outer !== undefined) {
      const overlap = slice.ts + slice.dur - (outer.ts + outer.dur);
      expect(overlap, `${slice.name} ends after ${outer.name}, which it began in`).toBeLessThanOrEqual(
        ROUNDING,
      );
    }
    open.push(slice);
  }
}

spec(
  "run --profile: a trace that Perfetto opens, with each process and each property",
  "profile",
  async (sandbox) => {
    const file = sandbox.path("trace.json");
    const container = sandbox.shell("exit 7", (config) => {
      config.hooks = { createRuntime: [{ path: "/bin/true" }] };
      config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs" });
    });
    const { code, stderr } = await container.run({ flags: ["--profile", file] });
    expect([code, stderr]).toEqual([7, ""]);
    const events = readTrace(file);
    for (const { name, ph, pid, tid, ts, dur } of events) {
      expect([typeof name, typeof pid, typeof tid]).toEqual(["string", "number", "number"]);
      expect(["X", "M"]).toContain(ph);
      if (ph === "X") expect((ts ?? -1) >= 0 && (dur ?? -1) >= 0, name).toBe(true);
    }
    const names = rows(events);
    expect([...names.values()]).toEqual(["runtime", "stub", "init", "hook 1"]);
    const all = slices(events);
    for (const tid of names.keys()) expectNested(all.filter((slice) => slice.tid === tid));
    const of = (row: string, cat: string) =>
      all.filter((slice) => names.get(slice.tid) === row && slice.cat === cat);
    const [whole] = of("runtime", "command");
    expect(whole?.name).toBe("run");
    // Every slice lies within the command's: the clocks of the stubs and of the runtime agree.
    for (const { name, ts, dur } of all) expect(ts + dur, name).toBeLessThanOrEqual((whole?.dur ?? 0) + 1000);
    const made = of("init", "purpose").map(({ name, args }) => [name, args.pointer]);
    expect(made).toEqual(
      expect.arrayContaining([
        ["mount tmpfs on /tmp", "/mounts/7"],
        ["set the host name", "/hostname"],
        ["pivot_root", "/root/path"],
      ]),
    );
    const calls = of("init", "call").map(({ name }) => name);
    expect(calls.filter((name) => name === "fsmount").length).toBeGreaterThan(6);
    expect(calls).not.toContain("clock_gettime");
    // No time is taken of skipped operations, such as those for a mount point that does not exist.
    expect(of("stub", "call").filter(({ name }) => name === "clone3")).toHaveLength(2);
    expect(of("init", "call").filter(({ name }) => name === "clone3")).toEqual([]);
    expect(of("runtime", "call").map(({ args }) => args.path)).toContain(join(sandbox.root, container.id));
  },
  { both: "has no such command" },
);

/** Calls of the runtime that always change something outside of it. */
const CHANGING = new Set([
  "bind",
  "bpf",
  "connect",
  "fchmodat",
  "fchownat",
  "ioprio_set",
  "listen",
  "memfd_create",
  "mkdirat",
  "pidfd_send_signal",
  "posix_spawn",
  "pwrite64",
  "renameat2",
  "sched_setattr",
  "sendmsg",
  "sendto",
  "umount2",
  "unlinkat",
  "write",
]);

spec(
  "run --profile: each call of the runtime that changes something has its purpose, and the property that asks for it",
  "profile",
  async (sandbox) => {
    const file = sandbox.path("trace.json");
    const hook = { path: "/bin/true" };
    const container = sandbox.shell("exit 0", (config) => {
      mapIds(config);
      config.hooks = {
        createRuntime: [hook],
        startContainer: [{ path: "/bin/sh", args: ["sh", "-c", "exit 0"] }],
        poststop: [hook, hook],
      };
      config.process.oomScoreAdj = 100;
      config.process.scheduler = { policy: "SCHED_BATCH" };
      config.process.ioPriority = { class: "IOPRIO_CLASS_BE", priority: 4 };
      config.linux.namespaces.push({ type: "time" });
      config.linux.timeOffsets = { monotonic: { secs: 86_400 } };
      config.linux.resources = {
        devices: [{ allow: false, access: "rwm" }],
        // The only controller of the unified hierarchy here, if any.
        hugepageLimits: [{ pageSize: "2MB", limit: 4_194_304 }],
      };
    });
    giveToMappedRoot(container);
    const flags = ["--profile", file, "--pid-file", sandbox.path("pid")];
    const { code, stderr } = await container.run({ flags });
    expect([code, stderr]).toEqual([0, ""]);
    const events = readTrace(file);
    const names = rows(events);
    const own = slices(events).filter(({ tid }) => names.get(tid) === "runtime");
    const calls = own.filter(({ cat, name }) => cat === "call" && CHANGING.has(name));
    expect(calls.filter(({ args }) => (args.purpose ?? "") === "")).toEqual([]);
    const made = new Set(calls.map(({ name }) => name));
    for (const name of ["mkdirat", "write", "renameat2", "posix_spawn", "sendto", "bpf", "bind", "connect"])
      expect(made).toContain(name);
    const purposes = own
      .filter(({ cat }) => cat === "purpose")
      .map(({ name, args: { pointer = "" } }) => `${name} ${pointer}`);
    expect(purposes).toEqual(
      expect.arrayContaining([
        "make the container's directory ",
        `make the cgroup ${container.config.linux.cgroupsPath} /linux/cgroupsPath`,
        "set hugetlb.2MB.max /linux/resources/hugepageLimits/0/limit",
        "attach the device program /linux/resources/devices",
        "write the user mappings /linux/uidMappings",
        "write the group mappings /linux/gidMappings",
        "set the clock offsets /linux/timeOffsets",
        "set oom_score_adj /process/oomScoreAdj",
        "set the scheduling policy SCHED_BATCH /process/scheduler",
        "set the I/O priority IOPRIO_CLASS_BE 4 /process/ioPriority",
        "write the pid file ",
        "spawn the stub /hooks/createRuntime/0",
        "spawn the stub /hooks/startContainer/0",
        "let init go on ",
        `remove the cgroup ${container.config.linux.cgroupsPath} /linux/cgroupsPath`,
        "run the poststop hook /bin/true /hooks/poststop/1",
      ]),
    );
  },
  { both: "has no such command" },
);

spec(
  "create --profile in a time namespace: times of the host's clock",
  "profile",
  async (sandbox) => {
    const file = sandbox.path("trace.json");
    const container = sandbox.shell("exit 0", (config) => {
      config.linux.namespaces.push({ type: "time" });
      config.linux.timeOffsets = { monotonic: { secs: 86_400 }, boottime: { secs: 86_400 } };
    });
    await container.created({ flags: ["--profile", file] });
    const all = slices(readTrace(file));
    expect(all.length).toBeGreaterThan(100);
    for (const { ts, dur } of all) expect(ts + dur).toBeLessThan(60_000_000);
  },
  { both: "has no such command" },
);

spec(
  "create --profile that fails: the same error, and the profile up to there",
  "profile",
  async (sandbox) => {
    const file = sandbox.path("trace.json");
    const container = sandbox.container((config) => {
      config.mounts.push({ destination: "/x", type: "tmpfs", source: "tmpfs", options: ["nonsense=1"] });
    });
    const plain = await container.create();
    const profiled = await container.create({ flags: ["--profile", file] });
    expect(plain.stderr).toContain("/mounts/7");
    expect([profiled.code, profiled.stderr]).toEqual([plain.code, plain.stderr]);
    const purposes = slices(readTrace(file)).filter(({ cat }) => cat === "purpose");
    expect(purposes.map(({ name }) => name)).toContain("mount tmpfs on /dev/shm");
    expect(purposes.map(({ name }) => name)).not.toContain("pivot_root");
  },
  { both: "has no such command" },
);

spec(
  "create --profile with a file that can't be written: error, no container",
  "profile",
  async (sandbox) => {
    const container = sandbox.container();
    const { code, stderr } = await container.create({ flags: ["--profile", "/nowhere/trace.json"] });
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining("runts: --profile /nowhere/trace.json: ENOENT"),
    ]);
    expect(existsSync(join(sandbox.root, container.id))).toBe(false);
    const full = await container.run({ flags: ["--profile", "/dev/full"] });
    expect([full.code, full.stderr]).toEqual([
      1,
      expect.stringContaining("runts: --profile /dev/full: ENOSPC"),
    ]);
  },
  { both: "has no such command" },
);

spec(
  "start --profile and exec --profile: the hooks of start, and the process of exec, with their calls",
  "profile",
  async (sandbox) => {
    const container = sandbox.shell("exec sleep 100", (config) => {
      config.hooks = { startContainer: [{ path: "/bin/true" }], poststart: [{ path: "/bin/true" }] };
    });
    await container.created();
    const started = sandbox.path("start.json");
    const start = await sandbox.invoke(["start", "--profile", started, container.id]);
    expect([start.code, start.stderr]).toEqual([0, ""]);
    expect([...rows(readTrace(started)).values()]).toEqual(["runtime", "stub", "hook 1", "hook 2"]);
    const file = sandbox.path("exec.json");
    const exec = await container.exec(["/bin/sh", "-c", "exit 3"], { flags: ["--profile", file] });
    expect([exec.code, exec.stderr]).toEqual([3, ""]);
    const events = readTrace(file);
    const names = rows(events);
    expect([...names.values()]).toEqual(["runtime", "stub", "process"]);
    const purposes = slices(events).filter(
      ({ tid, cat }) => names.get(tid) === "process" && cat === "purpose",
    );
    expect(purposes.map(({ args }) => args.pointer)).toContain("/process/user/uid");
  },
  { both: "has no such command" },
);

for (const command of ["create", "start", "run", "exec"]) {
  spec(
    `${command} --profile-format with a format that doesn't exist, or without --profile: error, nothing is written`,
    "profile",
    async (sandbox) => {
      const file = sandbox.path("trace.json");
      const refused = async (...flags: string[]) => {
        const { code, stderr } = await sandbox.invoke([command, ...flags, "box"]);
        return [code, stderr.split("\n")[0]];
      };
      const failure = command === "exec" ? 255 : 1;
      expect(await refused("--profile", file, "--profile-format", "xml")).toEqual([
        failure,
        expect.stringMatching(/^runts: --profile-format xml: is none of chrome\b/),
      ]);
      expect(await refused("--profile-format", "chrome")).toEqual([
        failure,
        "runts: --profile-format needs --profile",
      ]);
      expect(existsSync(file)).toBe(false);
    },
    { both: "has no such command" },
  );
}

spec(
  "run --profile on a terminal: a summary after the end",
  "profile",
  async (sandbox) => {
    const file = sandbox.path("trace.json");
    const container = sandbox.shell("exit 0");
    const wrapper = ["python3", join(import.meta.dirname, "../harness/helpers/on-terminal.py")];
    const { code, stdout } = await container.run({ flags: ["--profile", file], wrapper });
    expect(code).toBe(0);
    expect(stdout).toMatch(/ ms {2}run, of which in system calls:\r?\n/);
    expect(stdout).toMatch(/ ms {2}init\r?\n/);
    expect(stdout).toContain("The longest steps:");
    expect(stdout).toContain(`All of it is in ${file}`);
  },
  { both: "has no such command" },
);

spec(
  "profile in the page of the example: prints what the page says",
  "examples/profile",
  (sandbox) => checkReadme(sandbox, "profile"),
  { both: "has no such command" },
);
