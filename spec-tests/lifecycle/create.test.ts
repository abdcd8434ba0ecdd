import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { expectRefusal } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

spec(
  "create: the program does not run",
  "runtime.md, Create: process.args MUST NOT be applied",
  async (sandbox) => {
    const container = sandbox.shell("touch /ran", (config) => {
      config.root.readonly = false;
    });
    await container.created();
    await sleep(200);
    expect(existsSync(join(container.rootfs, "ran"))).toBe(false);
    expect((await container.state()).status).toBe("created");
  },
);

spec(
  "create: prints nothing of its own",
  "runtime-tools: the files given as stdout and stderr are the container's",
  async (sandbox) => {
    const result = await sandbox.container().created();
    expect(result.stdout + result.stderr).toBe("");
  },
);

spec(
  "create, config.json edited afterwards: the container keeps the config it was created with",
  "runtime.md, Lifecycle step 2: updates to config.json MUST NOT affect the container",
  async (sandbox) => {
    const container = sandbox.shell("hostname > /result", (config) => {
      config.root.readonly = false;
    });
    await container.created();
    container.config.hostname = "other";
    container.config.process.args = ["sh", "-c", "echo edited > /result"];
    container.writeConfig();
    await container.start();
    await container.until("stopped");
    expect(container.readFile("result")).toBe("box\n");
  },
);

spec(
  "create: everything but the program is set up",
  "runtime.md, Lifecycle step 2: the runtime environment MUST be created",
  async (sandbox) => {
    const container = sandbox.container();
    await container.created();
    const { pid } = await container.state();
    const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8");
    for (const target of ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"]) {
      expect(mounts).toContain(` ${target} `);
    }
    expect(readFileSync(`/sys/fs/cgroup/${container.id}/cgroup.procs`, "utf8").split("\n")).toContain(
      String(pid),
    );
  },
);

spec(
  "create --pid-file: the bare decimal pid, there before create returns",
  "engines: conmon and the shim read it at once",
  async (sandbox) => {
    const container = sandbox.container();
    const pidFile = sandbox.path("pid");
    await container.created({ flags: ["--pid-file", pidFile] });
    expect(readFileSync(pidFile, "utf8")).toBe(String((await container.state()).pid));
  },
);

spec(
  "create, id in use: error, and the first container is untouched",
  "runtime.md, Create: MUST error if the id is not unique",
  async (sandbox) => {
    const container = sandbox.container();
    await container.created();
    const before = (await container.stateCommand()).stdout;
    const second = await container.create();
    expectRefusal(second, /exists/);
    expect((await container.stateCommand()).stdout).toBe(before);
    expect((await container.start()).code).toBe(0);
  },
);

spec(
  "create, id in use: says so in the words that engines match",
  "engines: container with given ID already exists",
  async (sandbox) => {
    const container = sandbox.container();
    await container.created();
    expect((await container.create()).stderr).toContain("container with given ID already exists");
  },
  { crun: "words the same errors differently" },
);

spec(
  "create without --bundle: the current directory is the bundle",
  "practice: create --bundle defaults to the current directory",
  async (sandbox) => {
    const container = sandbox.container();
    expect((await sandbox.invoke(["create", container.id], { cwd: container.bundle })).code).toBe(0);
    expect((await container.state()).bundle).toBe(container.bundle);
  },
);

spec(
  "create --bundle with a relative path: state shows the absolute one",
  "runtime.md, State: bundle is an absolute path",
  async (sandbox) => {
    const container = sandbox.container();
    const result = await sandbox.invoke(["create", "--bundle", container.id, container.id], {
      cwd: sandbox.directory,
    });
    expect(result.code).toBe(0);
    expect((await container.state()).bundle).toBe(container.bundle);
  },
);

spec(
  "create: stdin, stdout and stderr of the caller are the container's",
  "runtime-linux.md, File descriptors",
  async (sandbox) => {
    const container = sandbox.shell("cat; echo to-stdout; echo to-stderr >&2", (config) => {
      config.root.readonly = false;
    });
    const stdin = sandbox.path("stdin");
    writeFileSync(stdin, "from-stdin\n");
    const result = await container.run({ stdin });
    expect(result).toEqual({ code: 0, stdout: "from-stdin\nto-stdout\n", stderr: "to-stderr\n" });
  },
);

spec(
  "create --root below a missing folder: makes it",
  "engines: directories named by --root may not exist yet",
  async (sandbox) => {
    const container = sandbox.container();
    const root = sandbox.path("a/b/state");
    const call = (...args: string[]) => sandbox.invoke(["--root", root, ...args]);
    expect((await call("create", "--bundle", container.bundle, container.id)).code).toBe(0);
    expect((await call("delete", container.id)).code).toBe(0);
  },
);

spec(
  "create, root.path absolute: used as it is",
  "config.md, Root: absolute or relative to the bundle",
  async (sandbox) => {
    const container = sandbox.shell("cat /mark");
    container.writeFile("mark", "here\n");
    container.config.root.path = container.rootfs;
    container.writeConfig();
    mkdirSync(sandbox.path("elsewhere"));
    expect(await container.output({ cwd: sandbox.path("elsewhere") })).toBe("here\n");
  },
);

for (const [flags, expected] of [
  [[], "has one of its own"],
  [["--no-new-keyring"], "has none of its own"],
] as const) {
  spec(
    `create ${flags.join(" ") || "alone"}, session keyring: the container ${expected}`,
    "keyrings(7)",
    async (sandbox) => {
      const container = sandbox.shell("cat /proc/keys", (config) => {
        config.linux.maskedPaths = [];
      });
      const keys = await container.output({ flags: [...flags] });
      expect(keys.includes(container.id)).toBe(flags.length === 0);
    },
  );
}
