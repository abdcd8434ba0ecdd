import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { expect } from "vitest";
import { type Config, type Mount, setNamespace } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config.md, mounts";

function add(mount: Mount): (config: Config) => void {
  return (config) => void config.mounts.push(mount);
}

/** A host folder with a file in it. */
function source(sandbox: Sandbox, name = "source"): string {
  mkdirSync(sandbox.path(name));
  writeFileSync(`${sandbox.path(name)}/file`, "from the host\n");
  return sandbox.path(name);
}

/** The container's view of one mount point: options, propagation fields, type, data. */
async function mountLine(container: Container, target: string): Promise<string> {
  const lines = (await container.output()).split("\n").filter((line) => line.split(" ")[4] === target);
  return lines.at(-1)?.split(" ").slice(5).join(" ") ?? "";
}

const MOUNTINFO = "cat /proc/self/mountinfo";

spec("bind mount of a folder: its files are seen and written", CLAUSE, async (sandbox) => {
  const folder = source(sandbox);
  const container = sandbox.shell(
    "cat /mnt/file; echo back > /mnt/written",
    add({ destination: "/mnt", type: "bind", source: folder, options: ["bind"] }),
  );
  expect(await container.output()).toBe("from the host\n");
  expect(readdirSync(folder).sort()).toEqual(["file", "written"]);
});

spec("bind mount with ro: reads, but no writes", CLAUSE, async (sandbox) => {
  const folder = source(sandbox);
  const container = sandbox.shell(
    "cat /mnt/file; echo no > /mnt/written",
    add({ destination: "/mnt", type: "none", source: folder, options: ["rbind", "ro"] }),
  );
  const result = await container.run();
  expect(result.stdout).toBe("from the host\n");
  expect(result.stderr).toMatch(/Read-only file system/);
  expect(readdirSync(folder)).toEqual(["file"]);
});

spec(
  "bind mount without a type: the option decides",
  `${CLAUSE}: bind is decided by the options`,
  async (sandbox) => {
    const container = sandbox.shell(
      "cat /mnt/file",
      add({ destination: "/mnt", source: source(sandbox), options: ["bind"] }),
    );
    expect(await container.output()).toBe("from the host\n");
  },
);

spec("bind mount with a relative source: relative to the bundle", `${CLAUSE}.source`, async (sandbox) => {
  const container = sandbox.shell(
    "cat /mnt/file",
    add({ destination: "/mnt", type: "bind", source: "volume", options: ["bind"] }),
  );
  mkdirSync(`${container.bundle}/volume`);
  writeFileSync(`${container.bundle}/volume/file`, "relative\n");
  expect(await container.output()).toBe("relative\n");
});

spec(
  "bind mount of a file: a missing target is made as a file",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.shell(
      "cat /made/here/file",
      add({
        destination: "/made/here/file",
        type: "bind",
        source: `${source(sandbox)}/file`,
        options: ["bind", "ro"],
      }),
    );
    expect(await container.output()).toBe("from the host\n");
    expect(lstatSync(`${container.rootfs}/made/here/file`).isFile()).toBe(true);
  },
);

spec(
  "bind mount of a folder: a missing target is made as a folder",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.shell(
      "cat /made/here/file",
      add({ destination: "/made/here", type: "bind", source: source(sandbox), options: ["bind"] }),
    );
    expect(await container.output()).toBe("from the host\n");
    expect(lstatSync(`${container.rootfs}/made/here`).isDirectory()).toBe(true);
  },
);

spec("bind mount of a device node: usable", CLAUSE, async (sandbox) => {
  const container = sandbox.shell(
    "head -c 3 /dev/my-zero | wc -c",
    add({ destination: "/dev/my-zero", type: "bind", source: "/dev/zero", options: ["bind"] }),
  );
  expect((await container.output()).trim()).toBe("3");
});

spec("bind mount with a missing source: error, nothing left", `${CLAUSE}: MUST error`, async (sandbox) => {
  const container = sandbox.shell(
    "true",
    add({ destination: "/mnt", type: "bind", source: "/no/such/source", options: ["bind"] }),
  );
  expectRefusal(await container.create(), /\/no\/such\/source/);
  expect(await sandbox.traces()).toEqual([]);
});

spec(
  "mounts: in the listed order, later ones over earlier ones",
  `${CLAUSE}: MUST mount in the listed order`,
  async (sandbox) => {
    const [first, second] = [source(sandbox, "first"), source(sandbox, "second")];
    writeFileSync(`${second}/file`, "second\n");
    const container = sandbox.shell("cat /mnt/file", (config) => {
      config.mounts.push({ destination: "/mnt", type: "bind", source: first, options: ["bind"] });
      config.mounts.push({ destination: "/mnt", type: "bind", source: second, options: ["bind"] });
    });
    expect(await container.output()).toBe("second\n");
  },
);

spec("mount with a relative destination: relative to /", `${CLAUSE}.destination`, async (sandbox) => {
  const container = sandbox.shell(
    "cat /mnt/file",
    add({ destination: "mnt", type: "bind", source: source(sandbox), options: ["bind"] }),
  );
  expect(await container.output()).toBe("from the host\n");
});

spec(
  "tmpfs: size and mode reach the file system",
  "config.md, mounts: unknown options are data",
  async (sandbox) => {
    const container = sandbox.shell(
      `${MOUNTINFO}; touch /scratch/x || echo failed`,
      add({
        destination: "/scratch",
        type: "tmpfs",
        source: "tmpfs",
        options: ["nosuid", "mode=0711", "size=128k"],
      }),
    );
    expect(await mountLine(container, "/scratch")).toMatch(
      /^rw,nosuid,relatime.* - tmpfs tmpfs rw,size=128k,mode=711/,
    );
  },
);

spec("tmpfs with ro: read-only", CLAUSE, async (sandbox) => {
  const container = sandbox.shell(
    "touch /scratch/x",
    add({ destination: "/scratch", type: "tmpfs", source: "tmpfs", options: ["ro"] }),
  );
  expect((await container.run()).stderr).toMatch(/Read-only file system/);
});

spec(
  "tmpfs with tmpcopyup: the covered folder's files are in it",
  `${CLAUSE}: tmpcopyup MAY`,
  async (sandbox) => {
    const container = sandbox.shell(
      "cat /etc/group | head -n 1; echo x > /etc/written && cat /etc/written",
      add({ destination: "/etc", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] }),
    );
    expect(await container.output()).toBe("root:x:0:\nx\n");
    expect(existsSync(`${container.rootfs}/etc/written`)).toBe(false);
  },
);

spec(
  "proc, sysfs, devpts, mqueue, shm and cgroup2 of the default config: right types",
  "config-linux.md, Default Filesystems",
  async (sandbox) => {
    const container = sandbox.shell(MOUNTINFO);
    const table = (await container.output())
      .split("\n")
      .map((line) => [line.split(" ")[4], line.split(" - ")[1]?.split(" ")[0]]);
    expect(Object.fromEntries(table.filter(([target]) => target !== undefined))).toMatchObject({
      "/proc": "proc",
      "/sys": "sysfs",
      "/dev": "tmpfs",
      "/dev/pts": "devpts",
      "/dev/shm": "tmpfs",
      "/dev/mqueue": "mqueue",
      "/sys/fs/cgroup": "cgroup2",
    });
  },
);

spec(
  "cgroup mount with a cgroup namespace: its root is the container's cgroup",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.shell(
      "cat /proc/self/cgroup | grep ^0::; cat /sys/fs/cgroup/cgroup.procs | head -n 1",
    );
    expect(await container.output()).toBe("0::/\n1\n");
  },
);

spec(
  "cgroup mount without a cgroup namespace: still a cgroup2",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.shell("[ -e /sys/fs/cgroup/cgroup.procs ] && echo there", (config) => {
      setNamespace(config, "cgroup", undefined);
    });
    expect(await container.output()).toBe("there\n");
  },
);

spec("cgroup mount with ro: read-only", "practice of runc and crun", async (sandbox) => {
  const container = sandbox.shell("mkdir /sys/fs/cgroup/sub");
  expect((await container.run()).stderr).toMatch(/Read-only file system/);
});

spec(
  "mount with an unknown file system type: error, nothing left",
  `${CLAUSE}: MUST error`,
  async (sandbox) => {
    const container = sandbox.shell("true", add({ destination: "/mnt", type: "nosuchfs", source: "none" }));
    expectRefusal(await container.create(), inOurWords("/mounts/7: "));
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "mount target through a symlink out of the rootfs: stays inside",
  "CVE-2019-18837, CVE-2021-30465",
  async (sandbox) => {
    const outside = sandbox.path("outside");
    mkdirSync(outside);
    const container = sandbox.shell(
      "cat /escape/target/file",
      add({ destination: "/escape/target", type: "bind", source: source(sandbox), options: ["bind"] }),
    );
    symlinkSync(`../../..${outside}`, `${container.rootfs}/escape`);
    mkdirSync(`${container.rootfs}${outside}`, { recursive: true });
    expect(await container.output()).toBe("from the host\n");
    expect(readdirSync(outside)).toEqual([]);
  },
);

spec(
  "mount target a dangling symlink out of the rootfs: nothing is made on the host",
  "CVE-2024-45310",
  async (sandbox) => {
    const outside = sandbox.path("outside");
    mkdirSync(outside);
    const container = sandbox.shell(
      "true",
      add({ destination: "/link/made", type: "bind", source: `${source(sandbox)}/file`, options: ["bind"] }),
    );
    symlinkSync(outside, `${container.rootfs}/link`);
    await container.run();
    expect(readdirSync(outside)).toEqual([]);
  },
);

spec("proc over a symlink /proc in the rootfs: error", "CVE-2019-19921", async (sandbox) => {
  const container = sandbox.container();
  rmdirSync(`${container.rootfs}/proc`);
  symlinkSync("/tmp", `${container.rootfs}/proc`);
  expectRefusal(await container.create(), inOurWords("/mounts/0: "));
  expect(await sandbox.traces()).toEqual([]);
});

spec(
  "tmpfs mounted inside /proc: error",
  "CVE-2019-16884",
  async (sandbox) => {
    const container = sandbox.shell(
      "true",
      add({ destination: "/proc/self/attr", type: "tmpfs", source: "tmpfs" }),
    );
    expectRefusal(await container.create(), inOurWords("/mounts/7: "));
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "does not check mounts below /proc" },
);

spec(
  "mount of type bind without the option: not a bind mount, so an error, nothing left",
  `${CLAUSE}.type: the option decides, the type of a bind mount is a dummy`,
  async (sandbox) => {
    const mount = { destination: "/mnt", type: "bind", source: source(sandbox), options: ["ro"] };
    expectRefusal(await sandbox.shell("true", add(mount)).create(), inOurWords("/mounts/"));
    expect(await sandbox.traces()).toEqual([]);
  },
);

for (const [what, mount, place] of [
  ["a bind mount of a folder", { source: "folder", options: ["bind"] }, "file"],
  ["a bind mount of a file", { source: "folder/file", options: ["bind"] }, "folder"],
  ["a recursive bind mount of a file", { source: "folder/file", options: ["rbind", "ro"] }, "folder"],
  ["a tmpfs", { type: "tmpfs", source: "tmpfs" }, "file"],
  ["a cgroup", { type: "cgroup", source: "cgroup" }, "file"],
] as const) {
  spec(
    `create, ${what} on a ${place}: not a directory, nothing left`,
    "mount(2), ENOTDIR; docker chooses its message by these words",
    async (sandbox) => {
      source(sandbox, "folder");
      const isBind = !("type" in mount);
      const container = sandbox.container(
        add({
          ...mount,
          destination: `/the/${place}`,
          source: isBind ? sandbox.path(mount.source) : mount.source,
          options: "options" in mount ? [...mount.options] : [],
        }),
      );
      mkdirSync(`${container.rootfs}/the/folder`, { recursive: true });
      writeFileSync(`${container.rootfs}/the/file`, "");
      const result = await container.create();
      expectRefusal(result, /not a directory/i);
      expectRefusal(result, inOurWords(`/mounts/7: `));
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}
