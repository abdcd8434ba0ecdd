import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { becomeUser } from "../harness/host/user.ts";
import { spec } from "../harness/spec.ts";
import { asBoth, CLAUSE, ONLY_RUNTS, runSandbox, workDirectory } from "./sandbox.ts";

/** Options that would open the sandbox, or can't be had, and what the error says. */
const REFUSED: readonly (readonly [readonly string[], RegExp])[] = [
  [["--rw", "/"], /--rw \/: it is the whole host/],
  [["--ro", "/"], /--ro \/: it is the whole host/],
  [["--ro", "/proc/sys"], /interface of the host's kernel/],
  [["--ro", "/sys"], /interface of the host's kernel/],
  [["--rw", "/dev/null"], /interface of the host's kernel/],
  [["--ro", "/run"], /holds sockets/],
  [["--ro", "/tmp"], /holds sockets/],
  [["--rw", "/etc"], /it is the host's own/],
  [["--rw", "/usr"], /it is the host's own/],
  [["--ro", "source:/"], /\/ is the sandbox's own/],
  [["--ro", "source:/usr"], /\/usr is the sandbox's own/],
  [["--ro", "source:/proc/cpuinfo"], /\/proc\/cpuinfo is the sandbox's own/],
  [["--tmpfs", "/dev"], /\/dev is the sandbox's own/],
  [["--ro", "nothing"], /--ro nothing: ENOENT/],
  [["--ro", "source:/usr/none/x"], /--ro source:\/usr\/none\/x: \/mounts\/\d+: .*read-only file system/],
  [["--ro", ".", "--rw", "."], /--ro \.: --rw \. is at the same place/],
  [["--env", "NOT_SET_BY_ANYBODY"], /--env NOT_SET_BY_ANYBODY: is not set/],
  [["--env", "=x"], /--env =x: must be NAME=value or NAME/],
  [["--net", "bridge"], /--net: must be none or host/],
  [["--memory", "much"], /--memory: must be a number of bytes/],
  [["--cpus", "0"], /--cpus 0: must be a number of CPUs/],
  [["--pids", "0"], /--pids 0: must be a positive number/],
  [["--uid", "-1"], /--uid: must be a user id/],
  [["--timeout", "0"], /--timeout: must be a time/],
];

asBoth(
  "options that would open it, or can't be had: are refused by name, and leave nothing",
  async (sandbox) => {
    for (const [options, words] of REFUSED) {
      const { code, stderr } = await runSandbox(sandbox, [...options, "--", "true"]);
      expect([options, code, stderr]).toEqual([options, 125, expect.stringMatching(words)]);
      expect(stderr).toMatch(/^runts: /);
    }
    expect(await sandbox.traces()).toEqual([]);
  },
);

asBoth(
  "a working directory that holds more than work: is refused, unless an option names it",
  async (sandbox) => {
    const cwd = workDirectory(sandbox);
    const home = await runSandbox(sandbox, ["--", "true"], { env: { HOME: `${cwd}/home` } });
    expect([home.code, home.stderr]).toEqual([125, expect.stringContaining("holds your home directory")]);
    const write = await runSandbox(sandbox, ["--rw", ".", "--", "true"], { env: { HOME: cwd } });
    expect([write.code, write.stderr]).toEqual([
      125,
      expect.stringContaining("--rw .: it holds your home directory"),
    ]);
    const named = await runSandbox(sandbox, ["--ro", ".", "--", "cat", "source"], { env: { HOME: cwd } });
    expect(named).toMatchObject({ code: 0, stdout: "text\n" });
    for (const directory of ["/etc", "/tmp", "/var"]) {
      const { code, stderr } = await runSandbox(sandbox, ["--", "true"], { cwd: directory });
      expect([code, stderr]).toEqual([125, expect.stringContaining(`the working directory ${directory}: `)]);
    }
  },
);

asBoth("a home and a state directory behind a link: are refused by their real paths", async (sandbox) => {
  const cwd = workDirectory(sandbox);
  mkdirSync(join(cwd, "real/home"), { recursive: true });
  symlinkSync(join(cwd, "real"), join(cwd, "link"));
  const home = await runSandbox(sandbox, ["--", "true"], {
    cwd: join(cwd, "real/home"),
    env: { HOME: join(cwd, "link/home") },
  });
  expect([home.code, home.stderr]).toEqual([125, expect.stringContaining("holds your home directory")]);
  const write = await runSandbox(sandbox, ["--rw", "real", "--", "true"], {
    env: { HOME: join(cwd, "link/home") },
  });
  expect([write.code, write.stderr]).toEqual([125, expect.stringContaining("it holds your home directory")]);
  // Makes the state directory.
  await runSandbox(sandbox, ["--", "true"]);
  const link = sandbox.path("link-to-state");
  symlinkSync(sandbox.root, link);
  const state = await sandbox.invoke(["--root", link, "sandbox", "--ro", sandbox.root, "--", "true"], {
    cwd,
  });
  expect([state.code, state.stderr]).toEqual([125, expect.stringContaining("the state of runts")]);
});

spec(
  "sandbox that holds the state directory of runts: is refused",
  CLAUSE,
  async (sandbox) => {
    for (const path of [sandbox.root, sandbox.directory, `${sandbox.root}/@seccomp`]) {
      await runSandbox(sandbox, ["--", "true"]);
      const { code, stderr } = await runSandbox(sandbox, ["--ro", path, "--", "true"]);
      expect([path, code, stderr]).toEqual([path, 125, expect.stringContaining("the state of runts")]);
    }
  },
  ONLY_RUNTS,
);

spec(
  "sandbox as a user, a host that allows no user namespaces: error that says which setting",
  CLAUSE,
  async (sandbox) => {
    becomeUser(sandbox);
    // In a user namespace of its own the limit is the test's, not the host's.
    const limited = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"];
    const script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"';
    sandbox.wrapper = [...sandbox.wrapper, ...limited, script, "sh"];
    const { code, stderr } = await runSandbox(sandbox, ["--", "true"]);
    expect([code, stderr]).toEqual([
      125,
      expect.stringContaining("user.max_user_namespaces is 0 on this host"),
    ]);
  },
  ONLY_RUNTS,
);

spec(
  "sandbox as a user without a delegated cgroup, --memory: error that names the option",
  CLAUSE,
  async (sandbox) => {
    becomeUser(sandbox);
    for (const [option, value] of [
      ["--memory", "64m"],
      ["--pids", "9"],
      ["--cpus", "0.5"],
    ]) {
      const { code, stderr } = await runSandbox(sandbox, [option ?? "", value ?? "", "--", "true"]);
      expect([code, stderr]).toEqual([
        125,
        expect.stringMatching(new RegExp(`^runts: ${option}: .*needs a cgroup`)),
      ]);
    }
  },
  ONLY_RUNTS,
);
