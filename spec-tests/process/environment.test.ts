import { execFileSync } from "node:child_process";
import { statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { DEFAULT_PATH } from "../harness/config.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CWD_AND_ENV_UNCHECKED = "a relative cwd is resolved from /, and env entries are not checked";

spec(
  "run, env: the config's variables and HOME, none of the caller's",
  "config.md, process.env",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["env"];
      config.process.env = [DEFAULT_PATH, "A=1", "EMPTY=", "WITH=equals=and blanks"];
    });
    const env = { SECRET_OF_CALLER: "1", NODE_OPTIONS: "", BUN_OPTIONS: "", _LIBCONTAINER_X: "1" };
    const lines = (await container.output({ env })).trim().split("\n").sort();
    expect(lines).toEqual(["A=1", "EMPTY=", "HOME=/root", DEFAULT_PATH, "WITH=equals=and blanks"].sort());
  },
);

for (const [uid, home] of [
  [0, "/root"],
  [1000, "/home/alice"],
  [4321, "/"],
] as const) {
  spec(
    `run as uid ${uid} without HOME: HOME is ${home}`,
    "practice: from the container's /etc/passwd",
    async (sandbox) => {
      const container = sandbox.shell('echo "$HOME"', (config) => {
        config.process.user = { uid, gid: uid };
      });
      expect(await container.output()).toBe(`${home}\n`);
    },
  );
}

const entry = (home: string) => `jörg:x:1234:1234::${home}:/bin/sh\n`;
/** The ö of the home directory crosses the end of the first 4096 bytes, which are read at once. */
const long = `${"#".repeat(4096 - Buffer.byteLength("\njörg:x:1234:1234::/home/j") - 1)}\n${entry("/home/jörg")}`;
const invalid = Buffer.from(entry("/home/j\x80\x9f\xff"), "latin1");

for (const [situation, passwd, home] of [
  ["in UTF-8", Buffer.from(entry("/home/jörg 🐚")), Buffer.from("/home/jörg 🐚")],
  ["in UTF-8 across two reads of a long file", Buffer.from(long), Buffer.from("/home/jörg")],
  ["that is not UTF-8", invalid, Buffer.from("/home/j\x80\x9f\xff", "latin1")],
] as const) {
  for (const command of ["run", "exec"] as const) {
    spec(
      `${command}, /etc/passwd with a home directory ${situation}: HOME has its bytes`,
      "practice: from the container's /etc/passwd",
      async (sandbox) => {
        const print = 'printf %s "$HOME" | od -A n -t x1 | tr -d " \\n"';
        const container = sandbox.shell(command === "run" ? print : "sleep 100", (config) => {
          config.process.user = { uid: 1234, gid: 1234 };
        });
        container.writeFile("etc/passwd", passwd);
        if (command === "exec") await container.started();
        const { stdout } =
          command === "run" ? await container.run() : await container.exec(["sh", "-c", print]);
        expect(stdout).toBe(home.toString("hex"));
      },
    );
  }
}

spec("run with HOME set: kept", "config.md, process.env", async (sandbox) => {
  const container = sandbox.shell('echo "$HOME"', (config) => {
    config.process.env = [DEFAULT_PATH, "HOME=/elsewhere"];
  });
  expect(await container.output()).toBe("/elsewhere\n");
});

const homeDeviations = byCase({
  crun: "an empty HOME stays",
  cases: ["an empty HOME: that of the user", "HOME twice, the last one empty: that of the user"],
});

for (const [situation, entries, home] of [
  ["an empty HOME: that of the user", ["HOME="], "/home/alice"],
  ["HOME twice, the last one empty: that of the user", ["HOME=/x", "HOME="], "/home/alice"],
  ["HOME twice, the first one empty: the last", ["HOME=", "HOME=/x"], "/x"],
] as const) {
  spec(
    `run with ${situation}`,
    "practice of runc",
    async (sandbox) => {
      const container = sandbox.shell("env | grep ^HOME", (config) => {
        config.process.env = [DEFAULT_PATH, ...entries];
        config.process.user = { uid: 1000, gid: 1000 };
      });
      expect(await container.output()).toBe(`HOME=${home}\n`);
    },
    homeDeviations(situation),
  );
}

spec("run, the same name twice in env: the last wins", "practice of runc and crun", async (sandbox) => {
  const container = sandbox.shell('echo "$A"', (config) => {
    config.process.env = [DEFAULT_PATH, "A=first", "A=last"];
  });
  expect(await container.output()).toBe("last\n");
});

for (const entry of ["NOEQUALS", "=noname"]) {
  spec(
    `create, env entry ${entry}: error`,
    "config.md, process.env: NAME=value",
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.process.env = [DEFAULT_PATH, entry];
      });
      expectRefusal(await container.create(), inOurWords("/process/env/1: "));
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: CWD_AND_ENV_UNCHECKED },
  );
}

const CWD = "config.md, process.cwd";

spec("run, cwd: the program starts there", CWD, async (sandbox) => {
  const container = sandbox.shell("pwd", (config) => {
    config.process.cwd = "/usr/local";
  });
  expect(await container.output()).toBe("/usr/local\n");
});

spec("run, cwd missing: it is made", `${CWD}`, async (sandbox) => {
  const container = sandbox.shell("pwd", (config) => {
    config.process.cwd = "/made/for/you";
    config.root.readonly = false;
  });
  expect(await container.output()).toBe("/made/for/you\n");
  expect(statSync(`${container.rootfs}/made/for/you`).isDirectory()).toBe(true);
});

spec(
  "run, cwd missing in a read-only root: it is made before the root becomes read-only",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.shell("pwd", (config) => {
      config.process.cwd = "/made/for/you";
      config.root.readonly = true;
    });
    expect(await container.output()).toBe("/made/for/you\n");
  },
);

for (const [situation, cwd, words] of [
  ["missing on a read-only mount", "/sys/none", "make the working directory /sys/none: "],
  ["a file", "/etc/passwd", "make the working directory /etc/passwd: openat2: not a directory"],
  ["below a file", "/etc/passwd/x", "make the working directory /etc/passwd/x: openat2: not a directory"],
  [
    "a symlink without target",
    "/link",
    "make the working directory /link: openat2: no such file or directory",
  ],
] as const) {
  spec(`create, cwd ${situation}: an error that names it, nothing left`, CWD, async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.cwd = cwd;
    });
    symlinkSync("/nowhere", `${container.rootfs}/link`);
    const result = await container.create();
    expectRefusal(result, IS_RUNTS ? `/process/cwd: ${words}` : undefined);
    expect(await sandbox.traces()).toEqual([]);
  });
}

spec("run, cwd through a symlink out of the rootfs: resolved inside it", CWD, async (sandbox) => {
  const container = sandbox.shell("pwd -P; cat mark", (config) => {
    config.process.cwd = "/link";
  });
  symlinkSync("/../../../etc", `${container.rootfs}/link`);
  container.writeFile("etc/mark", "inside\n");
  expect(await container.output()).toBe("/etc\ninside\n");
});

const cwdDeviations = byCase({ crun: CWD_AND_ENV_UNCHECKED, cases: ['"relative"'] });

for (const cwd of ["relative", ""]) {
  spec(
    `create, cwd ${JSON.stringify(cwd)}: error`,
    `${CWD}: MUST be absolute`,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.process.cwd = cwd;
      });
      expectRefusal(await container.create(), inOurWords("/process/cwd: "));
      expect(await sandbox.traces()).toEqual([]);
    },
    cwdDeviations(JSON.stringify(cwd)),
  );
}

spec(
  "create, cwd /proc/self/fd/7 with a host folder open there: never outside the container",
  "CVE-2024-21626",
  async (sandbox) => {
    const container = sandbox.shell(
      "pwd; ls -d etc/spec-test-host-mark ../../../../etc/hostname",
      (config) => {
        config.process.cwd = "/proc/self/fd/7";
      },
    );
    const wrapper = ["bash", "-c", 'exec 7</; exec "$@"', "bash"];
    const result = await container.run({ wrapper });
    expect(result.code).not.toBe(0);
    expect(result.stdout).not.toContain("hostname");
  },
);

spec(
  "create, cwd longer than any path: error that names it, nothing left",
  "path_resolution(7): PATH_MAX",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.cwd = `/${"d/".repeat(2048)}`;
    });
    // A runtime may make the folders, which are too deep for Node's rmSync.
    sandbox.atEnd(() => {
      execFileSync("rm", ["-rf", join(container.rootfs, "d")]);
    });
    expectRefusal(await container.create(), inOurWords("/process/cwd"));
    expect(await sandbox.traces()).toEqual([]);
  },
);
