import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Container, succeed } from "../harness/container.ts";
import { withOpen } from "../harness/helpers/descriptors.ts";
import { COLD, HAS_WARM_START, WARM } from "../harness/helpers/installation.ts";
import { hostControllers, NO_HUGETLB } from "../harness/host/host-controllers.ts";
import { parseObject } from "../harness/json.ts";
import { byCase } from "../harness/peers.ts";
import { PATH, type Result, RUNTIME } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/**
 * All calls of CRI-O 1.37 (internal/oci/runtime_oci.go, pkg/config/config.go), the first of a container through conmon 2.2
 * (src/runtime_args.c):
 *
 *     RUNTIME --version                                both by `CombinedOutput`: standard output and error are one pipe
 *     RUNTIME features
 *     RUNTIME checkpoint --help
 *     RUNTIME restore --lsm-mount-context
 *     RUNTIME [--systemd-cgroup] --root=R create --bundle B --pid-file P [--no-pivot] [--console-socket S] ID
 *     RUNTIME [--systemd-cgroup] --root=R restore --bundle B --pid-file P --detach --image-path I --work-path W [--lsm-…=…] ID
 *     RUNTIME --root=R exec --pid-file P --process F --detach [--console-socket S] ID         a probe, and crictl exec --sync
 *     RUNTIME --root R [--systemd-cgroup] start ID, state ID, pause ID, resume ID, delete --force ID
 *     RUNTIME --root R [--systemd-cgroup] kill [-a] ID NUMBER, kill ID KILL
 *     RUNTIME --root R [--systemd-cgroup] exec --process F ID                                 kubectl exec
 *     RUNTIME --root R [--systemd-cgroup] checkpoint --file-locks --image-path I --work-path W [--leave-running] ID
 *     RUNTIME --root R update --resources - ID                                                with JSON on standard input
 *
 * spec-tests/checkpoint has checkpoint and restore; spec-tests/callers/conmon-rs.test.ts has --systemd-cgroup.
 */
const CLAUSE = "engines: CRI-O";

/** What a caller may be like when it asks: words in front of the command. */
const CALLERS: readonly (readonly [situation: string, before: readonly string[]])[] = [
  ["in the usual way", []],
  ["without any environment", ["env", "-i"]],
  ["with a HOME that does not exist", ["env", "HOME=/nonexistent"]],
  ["with a locale that does not exist", ["env", "LANG=xx_XX.UTF-8", "LC_ALL=xx_XX.UTF-8", "LANGUAGE=xx"]],
  ["without standard input", ["sh", "-c", 'exec "$@" <&-', "sh"]],
  [
    "where /run is read-only",
    ["unshare", "--mount", "sh", "-c", 'mount -n -t tmpfs -o ro none /run; exec "$@"', "sh"],
  ],
  [
    "with ignored and blocked signals, and other attributes",
    ["python3", join(import.meta.dirname, "../harness/helpers/odd-caller.py"), "/tmp"],
  ],
];

/** A start from the warm image, if there is one, and a cold one. Without any environment, the first is made twice. */
const STARTS: readonly Record<string, string>[] = HAS_WARM_START ? [WARM, COLD] : [{}];

const COMBINED = ["sh", "-c", 'exec "$@" 2>&1', "sh"];

const expected: Record<string, (output: string) => void> = {
  "--version": (output) => expect(output).toMatch(/^\S+ version \S+\n/),
  features: (output) => {
    const { ociVersionMin, ociVersionMax } = parseObject(output);
    expect(ociVersionMin).toMatch(/^1\./);
    expect(ociVersionMax).toMatch(/^1\./);
  },
};

const deviations = byCase(
  { crun: "--debug adds a line to the answer", cases: ["--debug features"] },
  { crun: "the log file gets the answer", cases: ["features without standard output"] },
  {
    crun: "--version makes the state directory and names it; without it, it fails (1.21) or says less (1.28)",
    cases: ["--version where /run is read-only"],
  },
);

for (const [question, check] of Object.entries(expected)) {
  for (const [situation, before] of CALLERS)
    spec(
      `${question}, called ${situation}, one pipe for both outputs: the answer and not one byte more`,
      CLAUSE,
      async (sandbox) => {
        for (const env of STARTS) {
          const ask = (...wrapper: readonly string[]) => sandbox.run([RUNTIME, question], { wrapper, env });
          const alone = await ask();
          const { code, stdout } = await ask(...before, ...COMBINED);
          expect([code, stdout]).toEqual([0, alone.stdout]);
          check(stdout);
        }
      },
      deviations(`${question} ${situation}`),
    );

  spec(
    `--debug ${question}, one pipe for both outputs: the answer and not one byte more`,
    CLAUSE,
    async (sandbox) => {
      const { code, stdout } = await sandbox.run([RUNTIME, "--debug", question], { wrapper: COMBINED });
      expect(code).toBe(0);
      check(stdout);
    },
    deviations(`--debug ${question}`),
  );

  spec(`${question}, without standard error: the answer`, CLAUSE, async (sandbox) => {
    const alone = await sandbox.run([RUNTIME, question]);
    const wrapper = ["sh", "-c", 'exec "$@" 2>&-', "sh"];
    expect(await sandbox.run([RUNTIME, question], { wrapper })).toEqual(alone);
  });

  spec(
    `${question}, without standard output: nobody else gets the answer`,
    CLAUSE,
    async (sandbox) => {
      // A file that the runtime itself opens could get the number of standard output.
      const log = sandbox.path("log");
      writeFileSync(log, "");
      const wrapper = ["sh", "-c", 'exec "$@" >&-', "sh"];
      const { stderr } = await sandbox.run([RUNTIME, "--log", log, question], { wrapper });
      expect(stderr + readFileSync(log, "utf8")).not.toMatch(/version \d|ociVersion/);
    },
    deviations(`${question} without standard output`),
  );
}

spec("checkpoint --help: exit code 0, by which CRI-O sees that checkpoints work", CLAUSE, async (sandbox) => {
  expect((await sandbox.run([RUNTIME, "checkpoint", "--help"])).code).toBe(0);
});

spec(
  "restore --lsm-mount-context without a value: the words by which CRI-O and podman see that pods can be restored",
  CLAUSE,
  async (sandbox) => {
    const result = await sandbox.run([RUNTIME, "restore", "--lsm-mount-context"], { wrapper: COMBINED });
    expect(result.stdout).toContain("flag needs an argument");
  },
  { crun: "says: option '--lsm-mount-context' requires an argument" },
);

/** The variables of conmon and of CRI-O's own calls. There is no HOME. */
const { RUNTS_COLD } = process.env;
const OF_CRI_O = [
  ...["env", "-i", "CRI_O_EXTERNAL=1", `PATH=${PATH}`],
  ...(RUNTS_COLD ? [`RUNTS_COLD=${RUNTS_COLD}`] : []),
];
const PIPES = { 3: "/dev/null", 4: "/dev/null" };
const OF_CONMON = [...withOpen(PIPES), ...OF_CRI_O, "_OCI_SYNCPIPE=3", "_OCI_STARTPIPE=4"];

const SLEEPS = "trap 'exit 3' TERM; echo begun; while :; do sleep 0.02; done";

/** create as conmon calls it, with the pipes to CRI-O open. */
function createByConmon(sandbox: Sandbox, container: Container): Promise<Result> {
  return container.create({
    globals: [`--root=${sandbox.root}`],
    flags: ["--pid-file", sandbox.path("pidfile")],
    wrapper: OF_CONMON,
  });
}

/** A call of CRI-O itself. */
function call(sandbox: Sandbox, ...args: readonly string[]): Promise<Result> {
  return sandbox.invoke(args, { wrapper: OF_CRI_O });
}

async function started(sandbox: Sandbox, script = SLEEPS): Promise<Container> {
  const container = sandbox.shell(script);
  succeed("create", await createByConmon(sandbox, container));
  succeed("start", await call(sandbox, "start", container.id));
  return container;
}

spec("create by conmon: the pid file is the number of init and nothing else", CLAUSE, async (sandbox) => {
  const container = sandbox.shell(SLEEPS);
  expect(await createByConmon(sandbox, container)).toMatchObject({ code: 0, stderr: "" });
  const text = readFileSync(sandbox.path("pidfile"), "utf8");
  expect(text).toBe(String((await container.state()).pid));
});

spec(
  "create, start, pause, resume, kill, state after each: the status as CRI-O has it, exit codes 0, no output",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell(SLEEPS);
    succeed("create", await createByConmon(sandbox, container));
    const expectStatus = async (status: string) => {
      const { code, stdout, stderr } = await call(sandbox, "state", container.id);
      expect([code, stderr]).toEqual([0, ""]);
      expect(parseObject(stdout)).toMatchObject({ id: container.id, bundle: container.bundle, status });
    };
    await expectStatus("created");
    for (const [command, status] of [
      ["start", "running"],
      ["pause", "paused"],
      ["resume", "running"],
    ] as const) {
      const result = await call(sandbox, command, container.id);
      expect([command, result]).toEqual([command, { code: 0, stdout: "", stderr: "" }]);
      await expectStatus(status);
    }
    // Before its trap, the first process of a pid namespace is not sent the signal. pid_namespaces(7)
    await expect.poll(() => container.printed()).toContain("begun");
    expect(await call(sandbox, "kill", container.id, "15")).toEqual({ code: 0, stdout: "", stderr: "" });
    await container.until("stopped");
    await expectStatus("stopped");
    const deleted = await call(sandbox, "delete", "--force", container.id);
    expect(deleted).toEqual({ code: 0, stdout: "", stderr: "" });
    expect((await call(sandbox, "state", container.id)).code).not.toBe(0);
    expect((await call(sandbox, "delete", "--force", container.id)).code).toBe(0);
  },
);

for (const form of [
  ["ID", "9"],
  ["ID", "KILL"],
  ["-a", "ID", "9"],
] as const)
  spec(`kill ${form.join(" ")}, running: the container stops`, CLAUSE, async (sandbox) => {
    const container = await started(sandbox);
    const words = form.map((word) => (word === "ID" ? container.id : word));
    succeed("kill", await call(sandbox, "kill", ...words));
    await container.until("stopped");
  });

spec(
  "kill, stopped: the words by which CRI-O knows that there is nothing to kill",
  CLAUSE,
  async (sandbox) => {
    const container = await started(sandbox, "exit 0");
    await container.until("stopped");
    const { code, stderr } = await call(sandbox, "kill", container.id, "15");
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/no such process|container not running|invalid process/);
  },
  { crun: { reason: "says: process not running: No such process", from: "1.28" } },
);

/** process.json as Go writes the whole process of a config, with another command. */
function processFile(sandbox: Sandbox, { config }: Container, args: readonly string[]): string {
  const file = sandbox.path("process.json");
  writeFileSync(file, JSON.stringify({ ...config.process, terminal: false, args }));
  return file;
}

spec("exec --process ID, as kubectl exec: both outputs and the exit code", CLAUSE, async (sandbox) => {
  const container = await started(sandbox);
  const file = processFile(sandbox, container, ["sh", "-c", "cat; echo err >&2; exit 7"]);
  const stdin = sandbox.path("stdin");
  writeFileSync(stdin, "typed\n");
  // This call has no PATH either.
  const wrapper = ["env", "-i", "XDG_RUNTIME_DIR=/nonexistent"];
  const result = await sandbox.invoke(["exec", "--process", file, container.id], { wrapper, stdin });
  expect(result).toEqual({ code: 7, stdout: "typed\n", stderr: "err\n" });
});

spec(
  "exec --process ID, called in a cgroup below the container's, as for execCPUAffinity: the process is in the container's",
  CLAUSE,
  async (sandbox) => {
    const container = await started(sandbox);
    const file = processFile(sandbox, container, ["cat", "/proc/self/cgroup"]);
    const below = `/sys/fs/cgroup/${container.id}/exec`;
    const wrapper = ["sh", "-c", `mkdir ${below} && echo $$ > ${below}/cgroup.procs && exec "$@"`, "sh"];
    const { code, stdout } = await sandbox.invoke(["exec", "--process", file, container.id], { wrapper });
    // The root of its cgroup namespace.
    expect([code, stdout.trim().split("\n").at(-1)]).toEqual([0, "0::/"]);
  },
);

spec(
  "exec --pid-file --process --detach by conmon, as a probe: the pid of the process, its output and no other",
  CLAUSE,
  async (sandbox) => {
    const container = await started(sandbox);
    const file = processFile(sandbox, container, ["sh", "-c", "echo probed; exec sleep 1000"]);
    const pidFile = sandbox.path("exec.pid");
    const output = sandbox.path("output");
    const { code, stderr } = await sandbox.invoke(
      ["exec", "--pid-file", pidFile, "--process", file, "--detach", container.id],
      { stdout: output, wrapper: OF_CONMON },
    );
    expect([code, stderr]).toEqual([0, ""]);
    const pid = readFileSync(pidFile, "utf8");
    expect(pid).toMatch(/^[1-9]\d*$/);
    await expect.poll(() => readFileSync(output, "utf8")).toBe("probed\n");
    const command = () => readFileSync(`/proc/${pid}/cmdline`, "utf8");
    await expect.poll(command).toBe("sleep\x001000\0");
    process.kill(Number(pid), "SIGKILL");
  },
);

spec("update --resources - ID: JSON of standard input", CLAUSE, async (sandbox, context) => {
  if (!hostControllers().includes("hugetlb")) context.skip(NO_HUGETLB);
  const container = await started(sandbox);
  const stdin = sandbox.path("resources.json");
  // A limit of hugetlb: not every host has the controllers of a pod's usual limits.
  writeFileSync(stdin, JSON.stringify({ unified: { "hugetlb.2MB.max": "4194304" } }));
  const args = ["update", "--resources", "-", container.id];
  const result = await sandbox.invoke(args, { stdin, wrapper: OF_CRI_O });
  expect(result).toEqual({ code: 0, stdout: "", stderr: "" });
  const limit = readFileSync(`/sys/fs/cgroup/${container.id}/hugetlb.2MB.max`, "utf8");
  expect(limit).toBe("4194304\n");
});

spec(
  "create, start, state, delete with --root given twice: the last one counts, nothing is made in the first",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell(SLEEPS);
    const other = sandbox.path("other");
    for (const forms of [
      ["create", "--bundle", container.bundle, container.id],
      ["start", container.id],
      ["state", container.id],
      ["delete", "--force", container.id],
    ]) {
      const command = [RUNTIME, `--root=${other}`, `--root=${sandbox.root}`, ...forms];
      // The container keeps the streams of create.
      const result = await sandbox.run(command, { stdout: sandbox.path(`${forms[0]}.out`) });
      expect([forms[0], result.code, result.stderr]).toEqual([forms[0], 0, ""]);
      if (forms[0] === "create") expect((await container.state()).status).toBe("created");
    }
    expect(existsSync(other)).toBe(false);
  },
);
