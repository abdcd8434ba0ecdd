import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { becomeUser, delegatedCgroup, userWrapper } from "../harness/host/user.ts";
import { parseObject } from "../harness/json.ts";
import { spec } from "../harness/spec.ts";
import { asBoth, CLAUSE, linesOf, ONLY_RUNTS, runSandbox, workDirectory } from "./sandbox.ts";

const ON_TERMINAL = ["python3", join(import.meta.dirname, "../harness/helpers/on-terminal.py")];

asBoth("exit codes: the program's, 128 and the signal, 126 and 127", async (sandbox) => {
  const codes: [string, readonly string[], number][] = [
    ["exit code", ["sh", "-c", "exit 7"], 7],
    ["its own signal", ["sh", "-c", "kill -TERM $$"], 143],
    ["abort", ["python3", "-c", "import os; os.abort()"], 134],
    ["not found", ["nothing-like-this"], 127],
    ["no program", ["/etc/passwd"], 126],
  ];
  const found = [];
  for (const [what, command] of codes)
    found.push([what, command, (await runSandbox(sandbox, ["--", ...command])).code]);
  expect(found).toEqual(codes);
});

asBoth("orphans: are reaped by pid 1, and end with the program", async (sandbox) => {
  const script = `
    sh -c 'sleep 0.01 & sleep 1000 &'
    while ps -o stat= -C sleep | grep -q Z || [ "$(ps -o pid= -C sleep | wc -l)" -gt 1 ]; do sleep 0.02; done 2>/dev/null
    ps -o ppid= -C sleep | sort -u | tr -d ' '`;
  expect((await linesOf(sandbox, [], script)).at(0)).toBe("1");
  expect(sandbox.processes()).toEqual([]);
});

asBoth("signals to runts: reach the program, whether it handles them or not", async (sandbox) => {
  const ready = join(workDirectory(sandbox), "ready");
  const send = (signal: NodeJS.Signals) => async (pid: number) => {
    await expect.poll(() => readdirSync(workDirectory(sandbox)), { timeout: 10_000 }).toContain("ready");
    process.kill(pid, signal);
  };
  const handled = [
    "--rw",
    ".",
    "--",
    "sh",
    "-c",
    "trap 'rm ready; exit 9' TERM; : > ready; while :; do sleep 0.02; done",
  ];
  expect(await runSandbox(sandbox, handled, { whileRunning: send("SIGTERM") })).toMatchObject({ code: 9 });
  const unhandled = ["--rw", ".", "--", "sh", "-c", ": > ready; exec sleep 1000"];
  expect(await runSandbox(sandbox, unhandled, { whileRunning: send("SIGINT") })).toMatchObject({ code: 130 });
  expect(ready).toContain(sandbox.tag);
});

asBoth("--timeout: SIGTERM, then SIGKILL, and exit code 124", async (sandbox) => {
  const gentle = "trap 'echo asked; exit 3' TERM; while :; do sleep 0.02; done";
  const first = await runSandbox(sandbox, ["--timeout", "500ms", "--", "sh", "-c", gentle]);
  expect(first).toMatchObject({ code: 124, stdout: "asked\n" });
  const stubborn = "trap '' TERM; while :; do sleep 0.02; done";
  expect(await runSandbox(sandbox, ["--timeout", "100ms", "--", "sh", "-c", stubborn])).toMatchObject({
    code: 124,
  });
  expect(await runSandbox(sandbox, ["--timeout", "1h", "--", "sh", "-c", "exit 5"])).toMatchObject({
    code: 5,
  });
});

asBoth("runts is killed: all of the sandbox ends with it", async (sandbox) => {
  const script = ": > ready; sleep 1000 & (setsid sleep 1000 &) ; exec sleep 1000";
  const killed = await runSandbox(sandbox, ["--rw", ".", "--", "sh", "-c", script], {
    // Through the wrapper's execs this is runts itself.
    whileRunning: async (pid) => {
      await expect.poll(() => readdirSync(workDirectory(sandbox)), { timeout: 10_000 }).toContain("ready");
      process.kill(pid, "SIGKILL");
    },
  });
  expect(killed.code).toBe(137);
  await expect.poll(() => sandbox.processes(), { timeout: 10_000 }).toEqual([]);
  // Its record is left, as that of any container.
  const { stdout } = await sandbox.invoke(["list", "--format", "json"]);
  const [id] = /sandbox-[0-9a-f]+/.exec(stdout) ?? [];
  expect(stdout).toContain('"status":"stopped"');
  expect(await sandbox.invoke(["delete", id ?? ""])).toMatchObject({ code: 0 });
});

asBoth("on a terminal: the program has one of its own, of the caller's size", async (sandbox) => {
  const words = ["--", "sh", "-c", "[ -t 0 ] && [ -t 1 ] && tty; stty size; echo x > /dev/tty; exit 6"];
  const { code, stdout } = await runSandbox(sandbox, words, {
    wrapper: [...ON_TERMINAL, ...sandbox.wrapper],
  });
  expect([code, stdout.replaceAll("\r", "")]).toEqual([6, "/dev/pts/0\n30 90\nx\n"]);
});

asBoth("--tty=false on a terminal: the program can't open the caller's", async (sandbox) => {
  const words = ["--tty=false", "--", "sh", "-c", "(: > /dev/tty) 2>/dev/null || echo none"];
  const { stdout } = await runSandbox(sandbox, words, { wrapper: [...ON_TERMINAL, ...sandbox.wrapper] });
  expect(stdout.replaceAll("\r", "")).toBe("none\n");
});

asBoth("with pipes or files: output stays apart, input is read", async (sandbox) => {
  const stdin = join(workDirectory(sandbox), "source");
  const result = await runSandbox(sandbox, ["--", "sh", "-c", "cat; echo problem >&2"], { stdin });
  expect(result).toMatchObject({ code: 0, stdout: "text\n", stderr: "problem\n" });
});

asBoth("--keep: the record stays until delete", async (sandbox) => {
  const { code, stderr } = await runSandbox(sandbox, ["--keep", "--", "true"]);
  const [, id = ""] = /^runts: kept (sandbox-[0-9a-f]+);/.exec(stderr) ?? [];
  expect(code).toBe(0);
  const state = parseObject((await sandbox.invoke(["state", id])).stdout);
  expect(state).toMatchObject({ id, status: "stopped", bundle: `${sandbox.root}/${id}` });
  const report = await sandbox.invoke(["report", id]);
  expect(report.code).toBe(0);
  expect(report.stdout).not.toMatch(/would fail|\/root\/path: /);
  expect(await sandbox.invoke(["delete", id])).toMatchObject({ code: 0 });
});

asBoth("--print-config: the printed config is valid without a warning, and run runs it", async (sandbox) => {
  const words = [
    "--print-config",
    "--rw",
    ".",
    "--env",
    "A=b",
    "--",
    "sh",
    "-c",
    "cat source; echo $A; exit 4",
  ];
  const { code, stdout, stderr } = await runSandbox(sandbox, words);
  expect([code, stderr]).toEqual([0, ""]);
  const bundle = join(workDirectory(sandbox), "bundle");
  await sandbox.run([...sandbox.wrapper, "mkdir", "-p", join(bundle, "rootfs")]);
  writeFileSync(join(bundle, "config.json"), stdout);
  expect((await sandbox.invoke(["validate", "--bundle", bundle])).stdout).toContain("no errors, no warnings");
  const id = `${sandbox.tag}0`;
  expect(await sandbox.invoke(["run", "--bundle", bundle, id])).toMatchObject({
    code: 4,
    stdout: "text\nb\n",
  });
});

asBoth("exec: enters a running sandbox", async (sandbox) => {
  const words = ["--rw", ".", "--", "sh", "-c", ": > ready; until [ -e done ]; do sleep 0.02; done; exit 8"];
  const { code } = await runSandbox(sandbox, words, {
    whileRunning: async () => {
      await expect.poll(() => readdirSync(workDirectory(sandbox)), { timeout: 10_000 }).toContain("ready");
      const { stdout } = await sandbox.invoke(["list", "--quiet"]);
      const entered = await sandbox.invoke(["exec", stdout.trim(), "sh", "-c", "pwd; : > done"]);
      expect(entered).toMatchObject({ code: 0, stdout: `${workDirectory(sandbox)}\n` });
    },
  });
  expect(code).toBe(8);
});

spec(
  "sandbox as a user without XDG_RUNTIME_DIR and --root: works, and leaves nothing in /tmp",
  CLAUSE,
  async (sandbox) => {
    const wrapper = userWrapper(sandbox);
    const left = () => readdirSync("/tmp").filter((name) => name.startsWith("runts-sandbox-"));
    const before = left();
    const command = [
      ...wrapper,
      process.env.RUNTIME ?? join(import.meta.dirname, "../../dist/runts"),
      "sandbox",
    ];
    const cwd = workDirectory(sandbox);
    expect(await sandbox.run([...command, "--", "id", "-u"], { cwd })).toMatchObject({
      code: 0,
      stdout: "1500\n",
    });
    expect(await sandbox.run([...command, "--", "nothing-like-this"], { cwd })).toMatchObject({ code: 127 });
    expect(left()).toEqual(before);
  },
  ONLY_RUNTS,
);

spec(
  "sandbox as a user with a delegated cgroup, --pids: the limit is in a cgroup that is gone afterwards, or the option is refused by name",
  CLAUSE,
  async (sandbox) => {
    becomeUser(sandbox, { cgroup: delegatedCgroup(sandbox, "user") });
    const words = ["--pids", "30", "--cwd", "/", "--", "cat", "/proc/self/cgroup"];
    const { code, stdout, stderr } = await runSandbox(sandbox, words);
    const hasController = readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").includes("pids");
    if (hasController) expect([code, stdout]).toEqual([0, "0::/\n"]);
    else expect([code, stderr]).toEqual([125, expect.stringMatching(/^runts: --pids: .*pids controller/)]);
  },
  ONLY_RUNTS,
);
