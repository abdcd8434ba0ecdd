import { chmodSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { running } from "../harness/exec.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config.md, process.args: as execvp does";
const WORDS = "engines match these words; create fails, not start";

spec("run, args[0] without a slash: found in the container's PATH, in its order", CLAUSE, async (sandbox) => {
  const container = sandbox.container((config) => {
    config.process.args = ["probe"];
    config.process.env = ["PATH=/missing:/tmp:/usr/local/bin:/bin"];
  });
  container.writeFile("tmp/probe", "#!/bin/sh\necho not executable", 0o644);
  container.writeFile("usr/local/bin/probe", "#!/bin/sh\necho from /usr/local/bin", 0o755);
  container.writeFile("bin/probe", "#!/bin/sh\necho from /bin", 0o755);
  expect(await container.output()).toBe("from /usr/local/bin\n");
});

spec("run, args[0] with a slash: PATH is not searched", CLAUSE, async (sandbox) => {
  const container = sandbox.container((config) => {
    config.process.args = ["./probe"];
    config.process.cwd = "/home";
  });
  container.writeFile("home/probe", "#!/bin/sh\npwd", 0o755);
  expect(await container.output()).toBe("/home\n");
});

spec("run, args[0] an absolute symlink: resolved inside the rootfs", CLAUSE, async (sandbox) => {
  const container = sandbox.container((config) => {
    config.process.args = ["/usr/local/bin/link", "followed"];
  });
  container.writeFile("tmp/script", '#!/bin/sh\necho "$1"', 0o755);
  symlinkSync("/tmp/script", `${container.rootfs}/usr/local/bin/link`);
  expect(await container.output()).toBe("followed\n");
});

spec(
  "run, args with blanks, quotes, empty and non-ASCII strings: passed unchanged",
  CLAUSE,
  async (sandbox) => {
    const args = ["a b", "", "'\"$HOME", "ünïcode 🐚", "-n", "tab\tline\nend"];
    const container = sandbox.container((config) => {
      config.process.args = ["sh", "-c", 'for a; do printf "[%s]" "$a"; done', "sh", ...args];
    });
    expect(await container.output()).toBe(args.map((arg) => `[${arg}]`).join(""));
  },
);

spec(
  "create, args[0] in no folder of PATH: executable file not found in $PATH",
  WORDS,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["no-such-program"];
    });
    expectRefusal(await container.create(), 'exec: "no-such-program": executable file not found in $PATH');
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "words the same errors differently" },
);

spec(
  "create, args[0] empty: executable file not found in $PATH",
  WORDS,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = [""];
    });
    expectRefusal(await container.create(), 'exec: "": executable file not found in $PATH');
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "words the same errors differently" },
);

for (const [situation, isFile] of [
  ["command", false],
  ["args[0] of --process", true],
] as const) {
  spec(
    `exec, ${situation} empty: 255, executable file not found in $PATH`,
    WORDS,
    async (sandbox) => {
      const container = await running(sandbox);
      const file = sandbox.path("process.json");
      writeFileSync(file, JSON.stringify({ args: [""], cwd: "/", user: { uid: 0, gid: 0 } }));
      const result = await container.exec(isFile ? [] : [""], { flags: isFile ? ["--process", file] : [] });
      expectRefusal(result, 'exec: "": executable file not found in $PATH', 255);
    },
    { crun: "words the same errors differently" },
  );
}

spec(
  "create, args[0] a missing path: no such file or directory",
  WORDS,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["/no/such/program"];
    });
    expectRefusal(
      await container.create(),
      'exec: "/no/such/program": stat /no/such/program: no such file or directory',
    );
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "words the same errors differently" },
);

spec(
  "create, args[0] a file without x: permission denied",
  WORDS,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["/etc/passwd"];
    });
    expectRefusal(await container.create(), 'exec: "/etc/passwd": permission denied');
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "words the same errors differently" },
);

spec(
  "create, args[0] a directory: is a directory",
  WORDS,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["/etc"];
    });
    expectRefusal(await container.create(), 'exec: "/etc": is a directory');
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "words the same errors differently" },
);

spec(
  "create, args[0] in PATH only as a directory: executable file not found in $PATH",
  WORDS,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["thing"];
    });
    mkdirSync(`${container.rootfs}/usr/local/bin/thing`);
    expectRefusal(await container.create(), 'exec: "thing": executable file not found in $PATH');
  },
  { crun: "words the same errors differently" },
);

spec(
  "create as another user, args[0] executable only by root: permission denied",
  WORDS,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["/tmp/root-only"];
      config.process.user = { uid: 1000, gid: 1000 };
      delete config.process.capabilities;
    });
    container.writeFile("tmp/root-only", "#!/bin/sh\n");
    chmodSync(`${container.rootfs}/tmp/root-only`, 0o700);
    expectRefusal(await container.create(), 'exec: "/tmp/root-only": permission denied');
  },
  { crun: "looks the program up as root, so the failure comes with start" },
);

spec(
  "run, a script whose interpreter is missing: error that says so",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["/tmp/script"];
    });
    container.writeFile("tmp/script", "#!/no/such/interpreter\n", 0o755);
    const result = await container.run();
    expect(result.code).not.toBe(0);
    expect(result.stderr).toMatch(/no such file or directory/i);
  },
);

spec("create, no PATH in env: the caller's PATH is not searched", CLAUSE, async (sandbox) => {
  const container = sandbox.container((config) => {
    config.process.args = ["only-in-callers-path"];
    config.process.env = [];
  });
  mkdirSync(sandbox.path("callers"));
  container.writeFile("only-in-callers-path", "#!/bin/sh\n", 0o755);
  renameSync(`${container.rootfs}/only-in-callers-path`, sandbox.path("callers/only-in-callers-path"));
  expectRefusal(
    await container.create({ env: { PATH: `${sandbox.path("callers")}:/usr/bin:/bin` } }),
    /executable file .*not found/,
  );
});

spec(
  "run, commandLine: ignored, since it is for Windows",
  "config.md, process.commandLine",
  async (sandbox) => {
    const container = sandbox.shell("echo ran", (config) => {
      Object.assign(config.process, { commandLine: "cmd.exe /c exit 1" });
    });
    expect(await container.output()).toBe("ran\n");
  },
);
