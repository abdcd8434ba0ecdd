import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { DEFAULT_PATH } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const LITTLE_TAKEN_OVER =
  "without --process, takes few properties of the container's process; --cap replaces instead of adding";
const ENV_REPLACES = {
  reason: "--env replaces instead of adding, and the container's seccomp filter does not apply",
  before: "1.28",
};
const GROUP_0 = "a user without a group gets group 0, and what strtol(3) reads as a number is accepted";
const USER_READ_WRONGLY = {
  reason:
    "1.21 misreads --user: without a group it is root, and text that is not a number is accepted (CVE-2026-30892)",
  before: "1.28",
};

const CLAUSE = "practice of runc and crun";
const IDS = "grep -E '^(Uid|Gid|Groups):' /proc/self/status | tr '\\t' ' '";
const SETS = ["grep", "^Cap", "/proc/self/status"];

/** Executes a line of shell with these options, and returns its output. */
async function printed(container: Container, script: string, ...flags: string[]): Promise<string> {
  const result = await container.exec(["sh", "-c", script], { flags });
  expect(result, script).toMatchObject({ code: 0, stderr: "" });
  return result.stdout;
}

/** The line of one capability set in /proc/PID/status, as a number. */
function bits(status: string, set: string): bigint {
  return BigInt(`0x${new RegExp(`^${set}:\\s*(\\w+)`, "m").exec(status)?.[1]}`);
}

const NET_RAW = 1n << 13n;
const KILL = 1n << 5n;

spec(
  "exec: cwd, env and user are those of the container's process",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      Object.assign(config.process, { cwd: "/var", user: { uid: 1000, gid: 2000, additionalGids: [3000] } });
      config.process.env = [DEFAULT_PATH, "GIVEN=by config"];
    });
    expect(await printed(container, `pwd; echo "$GIVEN"; ${IDS}`)).toBe(
      "/var\nby config\nUid: 1000 1000 1000 1000\nGid: 2000 2000 2000 2000\nGroups: 3000 \n",
    );
  },
  { crun: LITTLE_TAKEN_OVER },
);

spec("exec --cwd: sets the working directory", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  expect(await printed(container, "pwd; echo $PWD", "--cwd", "/var")).toBe("/var\n/var\n");
});

spec(
  "exec --cwd with a missing folder: error in the words that engines match, the folder is not made",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.root.readonly = false;
    });
    const result = await container.exec(["true"], { flags: ["--cwd", "/missing/folder"] });
    expectRefusal(result, /no such file or directory/i, 255);
    expect(result.stderr).toContain("/missing/folder");
    expect(existsSync(`${container.rootfs}/missing`)).toBe(false);
  },
);

spec(
  "exec --cwd with a relative path: error",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    expectRefusal(
      await container.exec(["true"], { flags: ["--cwd", "var"] }),
      inOurWords("--cwd var: must be an absolute path"),
      255,
    );
  },
  { crun: "exec checks neither a relative cwd nor a console socket without a terminal" },
);

spec(
  "exec --cwd /proc/self/fd/N: error, never a directory of the host",
  "CVE-2024-21626",
  async (sandbox) => {
    const container = await running(sandbox);
    for (const fd of [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]) {
      const flags = ["--cwd", `/proc/self/fd/${fd}`];
      const wrapper = ["bash", "-c", 'exec 9</; exec "$@"', "bash"];
      const result = await container.exec(["sh", "-c", "pwd; ls ../../.. | head -3"], { flags, wrapper });
      expect(result.code, `descriptor ${fd}: ${result.stdout}`).not.toBe(0);
    }
  },
);

spec(
  "exec --env: adds and overrides variables, the last one wins",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.process.env = [DEFAULT_PATH, "A=config", "B=config"];
    });
    const flags = ["--env", "B=exec", "--env", "C=a=b c", "--env", "D=1", "--env", "D=2", "--env", "E="];
    const lines = (await printed(container, "env", ...flags)).trim().split("\n").sort();
    expect(lines.filter((line) => /^[A-E]=/.test(line))).toEqual([
      "A=config",
      "B=exec",
      "C=a=b c",
      "D=2",
      "E=",
    ]);
  },
  { crun: ENV_REPLACES },
);

spec(
  "exec --env without =: error",
  "config.md, process.env: IEEE Std 1003.1 environ",
  async (sandbox) => {
    const container = await running(sandbox);
    expectRefusal(
      await container.exec(["true"], { flags: ["--env", "NAME"] }),
      inOurWords("--env NAME: "),
      255,
    );
  },
  { crun: { reason: "accepts a variable without =", from: "1.28" } },
);

spec(
  "exec --user UID: the group stays the container's",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.process.user = { uid: 0, gid: 5 };
    });
    expect(await printed(container, IDS, "--user", "1000")).toContain(
      "Uid: 1000 1000 1000 1000\nGid: 5 5 5 5\n",
    );
  },
  { crun: GROUP_0 },
);

spec("exec --user UID:GID: sets both", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  expect(await printed(container, IDS, "-u", "1000:2000")).toContain(
    "Uid: 1000 1000 1000 1000\nGid: 2000 2000 2000 2000\n",
  );
});

const userDeviations = byCase(
  { crun: GROUP_0, cases: ['"-1"', '" 0"'] },
  { crun: USER_READ_WRONGLY, cases: ['"1000:"', '":5"', '"4294967295"'] },
);

for (const user of [
  "1000x",
  "alice",
  "-1",
  "1000:",
  "1000:x",
  ":5",
  " 0",
  "0x10",
  "4294967295",
  "1000:1:2",
]) {
  spec(
    `exec --user ${JSON.stringify(user)}: error, never root`,
    "CVE-2026-30892",
    async (sandbox) => {
      const container = await running(sandbox, (config) => {
        config.process.user = { uid: 1000, gid: 1000 };
      });
      const result = await container.exec(["id", "-u"], { flags: [`--user=${user}`] });
      expect(result.stdout).toBe("");
      expectRefusal(result, inOurWords("--user"), 255);
    },
    userDeviations(JSON.stringify(user)),
  );
}

spec(
  "exec --additional-gids: added to the container's groups",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.process.user = { uid: 1000, gid: 1000, additionalGids: [10] };
    });
    const flags = ["--additional-gids", "20", "--additional-gids", "30"];
    expect(await printed(container, IDS, ...flags)).toContain("Groups: 10 20 30 \n");
  },
  { crun: "has no --additional-gids and no --ignore-paused" },
);

spec(
  "exec: HOME is that of the user in the container's /etc/passwd",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    expect(await printed(container, "echo $HOME")).toBe("/root\n");
    expect(await printed(container, "echo $HOME", "--user", "1000")).toBe("/home/alice\n");
    expect(await printed(container, "echo $HOME", "--user", "1000", "--env", "HOME=/x")).toBe("/x\n");
  },
  { crun: USER_READ_WRONGLY },
);

spec(
  "exec --env HOME=, in a container with a HOME: HOME is the user's",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.process.env = [DEFAULT_PATH, "HOME=/x"];
    });
    expect(await printed(container, "echo $HOME")).toBe("/x\n");
    expect(await printed(container, "env | grep ^HOME", "--env", "HOME=")).toBe("HOME=/root\n");
  },
  { crun: "keeps an empty HOME" },
);

spec("exec: the capabilities of the container's process, and no others", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const init = readFileSync(`/proc/${(await container.state()).pid}/status`, "utf8");
  const caps = (text: string) => text.split("\n").filter((line) => line.startsWith("Cap"));
  expect(caps((await container.exec(SETS)).stdout)).toEqual(caps(init));
});

spec(
  "exec --cap: bounding, effective and permitted, never inheritable",
  "CVE-2022-29162",
  async (sandbox) => {
    const container = await running(sandbox);
    const { stdout } = await container.exec(SETS, { flags: ["--cap", "CAP_NET_RAW"] });
    for (const set of ["CapBnd", "CapEff", "CapPrm"]) {
      expect(bits(stdout, set) & NET_RAW, set).toBe(NET_RAW);
      expect(bits(stdout, set) & KILL, set).toBe(KILL);
    }
    for (const set of ["CapInh", "CapAmb"]) expect(bits(stdout, set), set).toBe(0n);
    const later = await container.exec(SETS);
    expect(bits(later.stdout, "CapBnd") & NET_RAW, "the next exec is without it").toBe(0n);
  },
  { crun: LITTLE_TAKEN_OVER },
);

spec(
  "exec --cap of an unknown capability: a warning, no failure",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const result = await container.exec(["echo", "ran"], { flags: ["--cap", "CAP_FROM_THE_FUTURE"] });
    expect(result).toMatchObject({ code: 0, stdout: "ran\n" });
    expect(result.stderr).toMatch(/CAP_FROM_THE_FUTURE/);
  },
  { crun: "ignores an unknown capability without a warning" },
);

const noNewPrivilegesDeviations = byCase(
  {
    crun: "--no-new-privs takes no value",
    cases: ["--no-new-privs=false, in a container with noNewPrivileges"],
  },
  { crun: LITTLE_TAKEN_OVER, cases: ["in a container with noNewPrivileges"] },
);

for (const [situation, set, flags, expected] of [
  ["--no-new-privs", false, ["--no-new-privs"], "1"],
  ["--no-new-privs=false, in a container with noNewPrivileges", true, ["--no-new-privs=false"], "0"],
  ["in a container with noNewPrivileges", true, [], "1"],
  ["in a container without noNewPrivileges", false, [], "0"],
] as const) {
  spec(
    `exec ${situation}: no_new_privs is ${expected}`,
    CLAUSE,
    async (sandbox) => {
      const container = await running(sandbox, (config) => {
        config.process.noNewPrivileges = set;
      });
      expect(await printed(container, "grep ^NoNewPrivs: /proc/self/status", ...flags)).toBe(
        `NoNewPrivs:\t${expected}\n`,
      );
    },
    noNewPrivilegesDeviations(situation),
  );
}

spec(
  "exec: the rlimits and oom_score_adj of the container's process",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 111, hard: 222 }];
      config.process.oomScoreAdj = 77;
    });
    expect(await printed(container, "ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj")).toBe(
      "111\n222\n77\n",
    );
  },
  { crun: LITTLE_TAKEN_OVER },
);

for (const noNewPrivileges of [true, false]) {
  spec(
    `exec, seccomp, noNewPrivileges ${noNewPrivileges}: the container's filter applies`,
    "config-linux.md, Seccomp",
    async (sandbox) => {
      const container = await running(sandbox, (config) => {
        const names = ["chmod", "fchmod", "fchmodat", "fchmodat2"];
        config.linux.seccomp = {
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [{ names, action: "SCMP_ACT_ERRNO", errnoRet: 38 }],
        };
        config.process.noNewPrivileges = noNewPrivileges;
      });
      const flags = ["--user", "1000"];
      const script = "chmod 700 /tmp; grep ^Seccomp: /proc/self/status; grep ^CapEff /proc/self/status";
      const result = await container.exec(["sh", "-c", script], { flags });
      expect(result.stderr).toMatch(/Function not implemented/);
      expect(result.stdout).toBe("Seccomp:\t2\nCapEff:\t0000000000000000\n");
    },
    { crun: ENV_REPLACES },
  );
}

spec(
  "exec --process: everything is taken from the file",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox);
    const file = sandbox.path("process.json");
    const args = ["sh", "-c", `pwd; env | sort; umask; ulimit -Sn; ${IDS}; grep ^NoNew /proc/self/status`];
    const process = {
      args,
      cwd: "/var",
      env: [DEFAULT_PATH, "ONLY=this"],
      user: { uid: 7, gid: 8, umask: 0o27, additionalGids: [9] },
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 50, hard: 60 }],
      noNewPrivileges: false,
      capabilities: {},
    };
    writeFileSync(file, JSON.stringify(process));
    const result = await container.exec([], { flags: ["--process", file] });
    expect(result).toMatchObject({ code: 0, stderr: "" });
    const env = `HOME=/\nONLY=this\n${DEFAULT_PATH}\nPWD=/var\n`;
    const lines = result.stdout.split("\n").filter((line) => !/^(SHLVL|OLDPWD)=/.test(line));
    expect(lines.join("\n")).toBe(
      `/var\n${env}0027\n50\nUid: 7 7 7 7\nGid: 8 8 8 8\nGroups: 9 \nNoNewPrivs:\t0\n`,
    );
  },
  { runc: "exec keeps the caller's umask, whatever the process file says" },
);

spec("exec --process with a relative path: resolved from the current directory", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const process = { args: ["echo", "found"], cwd: "/", env: [DEFAULT_PATH], user: { uid: 0, gid: 0 } };
  writeFileSync(sandbox.path("process.json"), JSON.stringify(process));
  const result = await container.exec([], { flags: ["-p", "process.json"], cwd: sandbox.directory });
  expect(result).toMatchObject({ code: 0, stdout: "found\n" });
});
