import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { type Container, succeed } from "../harness/container.ts";
import { running as runningIn } from "../harness/exec.ts";
import { criuSpec, imagesIn } from "../harness/helpers/checkpoint.ts";
import { mapNoRoot, mappedShell } from "../harness/host/user-namespace.ts";
import { parseObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS, type Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";
import { stateFile } from "../harness/state-record.ts";

/** Devices that a container gets while it runs. */

const CLAUSE = "practice: docker's --device, for a container that runs; promise: node and rule, or neither";

/** runc and crun have no such command. */
function live(title: string, body: (sandbox: Sandbox) => Promise<void>): void {
  if (IS_RUNTS) spec(title, CLAUSE, body);
}

/** The numbers of /dev/fuse, which no default rule allows. Without that driver, an open that is allowed fails with ENXIO. */
const NUMBERS = { type: "c", major: 10, minor: 229 } as const;

/** A node on the host, with these numbers unless others are given. */
function hostNode(sandbox: Sandbox, name = "node", numbers = "c 10 229", mode = 0o666): string {
  const path = sandbox.path(name);
  execFileSync("mknod", ["-m", mode.toString(8), path, ...numbers.split(" ")]);
  return path;
}

function devices(sandbox: Sandbox, action: string, { id }: Container, ...rest: string[]): Promise<Result> {
  return sandbox.invoke(["devices", action, id, ...rest]);
}

async function list(sandbox: Sandbox, { id }: Container): Promise<Record<string, unknown>[]> {
  const { stdout } = await sandbox.invoke(["devices", "list", "--format", "json", id]);
  return JSON.parse(stdout);
}

async function added(sandbox: Sandbox, container: Container): Promise<Record<string, unknown>[]> {
  return (await list(sandbox, container)).filter(({ origin }) => origin === "added");
}

/** A running container with a writable rootfs that may make nodes. */
function running(sandbox: Sandbox, mutate: (config: Config) => void = () => undefined): Promise<Container> {
  return runningIn(sandbox, (config) => {
    config.root.readonly = false;
    const names = ["CAP_MKNOD", "CAP_SYS_ADMIN"];
    config.process.capabilities = { bounding: names, effective: names, permitted: names };
    mutate(config);
  });
}

async function output(container: Container, script: string): Promise<string> {
  const { stdout, stderr } = await container.exec(["sh", "-c", script]);
  return (stdout + stderr).trim();
}

/** What a process of the container may do with a node: "" for nothing, else some of "rw". */
async function access(container: Container, path: string): Promise<string> {
  const reads = `dd if=${path} of=/dev/null bs=1 count=0 2>&1`;
  const writes = `dd if=/dev/null of=${path} bs=1 count=0 conv=notrunc 2>&1`;
  const script = `${reads} | grep -q 'not permitted' || printf r; ${writes} | grep -q 'not permitted' || printf w`;
  return output(container, script);
}

/** What an own node with the same numbers can be used for: the rule alone. */
async function ruleOf(container: Container): Promise<string> {
  await output(container, "rm -f /own; mknod /own c 10 229");
  return access(container, "/own");
}

const NOTHING = { rule: "", node: false, added: [] };

/** Whether anything of an added device is in the container: its rule, its node, its entry. */
async function traces(sandbox: Sandbox, container: Container, path: string): Promise<unknown> {
  const node = (await output(container, `ls -d ${path}`)) === path;
  return { rule: await ruleOf(container), node, added: await added(sandbox, container) };
}

live("devices add: a running process can open the device; after devices remove it can't", async (sandbox) => {
  const container = await running(sandbox);
  const source = hostNode(sandbox, "node", "c 10 229", 0o640);
  execFileSync("chown", ["7:8", source]);
  expect(await ruleOf(container)).toBe("");
  expect(
    succeed("devices add", await devices(sandbox, "add", container, `${source}:/dev/added`)).stdout,
  ).toBe("");
  expect(await output(container, "stat -c '%F %t:%T %a %u:%g' /dev/added")).toBe(
    "character special file a:e5 640 7:8",
  );
  expect(await access(container, "/dev/added")).toBe("rw");
  succeed("devices remove", await devices(sandbox, "remove", container, "/dev/added"));
  expect(await traces(sandbox, container, "/dev/added")).toEqual(NOTHING);
});

live(
  "devices add, one path: the device has the host's path in the container, with directories as needed",
  async (sandbox) => {
    const container = await running(sandbox);
    const source = hostNode(sandbox);
    succeed("devices add", await devices(sandbox, "add", container, source));
    expect(await access(container, source)).toBe("rw");
    succeed("devices remove", await devices(sandbox, "remove", container, source));
    expect(await output(container, `ls ${sandbox.temporary}`)).toMatch(/No such file/);
  },
);

for (const [word, expected] of [
  [":r", "r"],
  [":w", "w"],
  [":/dev/added:rw", "rw"],
  [":/dev/added:mr", "r"],
] as const) {
  live(`devices add PATH${word}: the container can do that and no more`, async (sandbox) => {
    const container = await running(sandbox);
    const source = hostNode(sandbox);
    succeed("devices add", await devices(sandbox, "add", container, `${source}${word}`));
    expect(await ruleOf(container)).toBe(expected);
  });
}

live("devices add, a block device by a symbolic link: the node of its target", async (sandbox) => {
  const container = await running(sandbox);
  hostNode(sandbox, "disk", "b 7 129");
  symlinkSync("disk", sandbox.path("link"));
  succeed("devices add", await devices(sandbox, "add", container, `${sandbox.path("link")}:/disk`));
  expect(await output(container, "stat -c '%F %t:%T' /disk")).toBe("block special file 7:81");
  expect(await output(container, "dd if=/disk bs=1 count=0")).not.toMatch(/not permitted/);
});

live("devices add of an added device: its access changes, and one remove removes it", async (sandbox) => {
  const container = await running(sandbox);
  const source = hostNode(sandbox);
  for (const letters of ["rw", "r"]) {
    succeed("devices add", await devices(sandbox, "add", container, `${source}:/dev/added:${letters}`));
    expect(await ruleOf(container)).toBe(letters);
  }
  await output(container, "rm /dev/added");
  succeed("devices add", await devices(sandbox, "add", container, `${source}:/dev/added`));
  expect(await access(container, "/dev/added")).toBe("rw");
  expect(await added(sandbox, container)).toHaveLength(1);
  succeed("devices remove", await devices(sandbox, "remove", container, "/dev/added"));
  expect(await traces(sandbox, container, "/dev/added")).toEqual(NOTHING);
});

live(
  "devices add, the container has the device already: it may use its node, which stays after remove",
  async (sandbox) => {
    const container = await running(sandbox);
    await output(container, "mknod /dev/own c 10 229");
    const word = `${hostNode(sandbox)}:/dev/own`;
    succeed("devices add", await devices(sandbox, "add", container, word));
    expect(await access(container, "/dev/own")).toBe("rw");
    succeed("devices remove", await devices(sandbox, "remove", container, "/dev/own"));
    expect(await traces(sandbox, container, "/dev/own")).toEqual({ ...NOTHING, node: true });
  },
);

live("devices add, something else is at the path: EEXIST, and nothing has changed", async (sandbox) => {
  const container = await running(sandbox);
  await output(container, "touch /file; mkdir /folder; mkfifo /fifo; ln -s /nowhere /link");
  const source = hostNode(sandbox);
  for (const path of ["/file", "/folder", "/fifo", "/dev/null"])
    expectRefusal(
      await devices(sandbox, "add", container, `${source}:${path}`),
      `runts: ${path} exists in the container and is not the device c 10:229\n`,
    );
  for (const path of ["/link", "/dev/fd/9", "/dev/ptmx"])
    expectRefusal(
      await devices(sandbox, "add", container, `${source}:${path}`),
      `${path} leads through a symbolic link of the container`,
    );
  expectRefusal(await devices(sandbox, "add", container, `${source}:/file/x`), /not a directory/);
  expect(await traces(sandbox, container, "/dev/added")).toEqual(NOTHING);
});

live("devices add, what is no device, or a word that can't be read: refused by name", async (sandbox) => {
  const container = await running(sandbox);
  const file = sandbox.path("file");
  writeFileSync(file, "");
  execFileSync("mkfifo", [sandbox.path("fifo")]);
  const cases: [string, RegExp][] = [
    [file, /file is not a device node/],
    [sandbox.path("fifo"), /fifo is a FIFO, not a device/],
    [sandbox.directory, /is a directory: name one device/],
    [sandbox.path("missing"), /the host's \S+missing: open: no such file/],
    ["dev/null", /dev\/null: "dev\/null" must be an absolute path/],
    ["/dev/null:x", /"x" must be a path in the container, or some of the letters/],
    ["/dev/null:/x:", /"" must be a path in the container, or some of the letters/],
    ["/dev/null:/x:rr", /"rr" must be/],
    ["/dev/null:/x:/y:r", /must be PATH\[:PATH\]\[:rwm\]/],
  ];
  for (const [word, words] of cases) expectRefusal(await devices(sandbox, "add", container, word), words);
  expect(await traces(sandbox, container, "/x")).toEqual(NOTHING);
});

live("devices add, a read-only place: EROFS, and no rule stays", async (sandbox) => {
  const container = await running(sandbox, (config) => {
    config.root.readonly = true;
    config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs" });
  });
  const before = await list(sandbox, container);
  expectRefusal(
    await devices(sandbox, "add", container, `${hostNode(sandbox)}:/added`),
    /make device \/added: mknodat: read-only file system/,
  );
  expect(await list(sandbox, container)).toEqual(before);
  await output(container, "mknod /tmp/own c 10 229");
  expect(await access(container, "/tmp/own")).toBe("");
});

live(
  "devices add, nodev at the container's path, or at the host's in a user namespace: EACCES",
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nodev"] });
    });
    expectRefusal(
      await devices(sandbox, "add", container, `${hostNode(sandbox)}:/tmp/sub/added`),
      "/tmp/sub/added is on a mount of the container with the option nodev",
    );
    expect(await traces(sandbox, container, "/tmp/sub")).toEqual(NOTHING);
    const mapped = mappedShell(sandbox, "exec sleep 1000");
    await mapped.started();
    const folder = sandbox.path("nodev");
    mkdirSync(folder);
    execFileSync("mount", ["-t", "tmpfs", "-o", "nodev", "tmpfs", folder]);
    sandbox.atEnd(() => void execFileSync("umount", [folder]));
    const source = hostNode(sandbox, "nodev/node");
    expectRefusal(
      await devices(sandbox, "add", mapped, `${source}:/dev/added`),
      `${source} is on a mount of the host with the option nodev`,
    );
    expect(await added(sandbox, mapped)).toEqual([]);
  },
);

live("devices remove, what add has not added: refused by name", async (sandbox) => {
  const container = await running(sandbox, (config) => {
    config.linux.devices = [{ ...NUMBERS, path: "/dev/configured" }];
  });
  for (const path of ["/dev/null", "/dev/configured"])
    expectRefusal(
      await devices(sandbox, "remove", container, path),
      `${path} is a device that container ${container.id} was created with: only added devices can be removed`,
    );
  expectRefusal(
    await devices(sandbox, "remove", container, "/dev/x"),
    `/dev/x is not a device that was added to container ${container.id}`,
  );
});

live(
  "devices remove, the container has put another file at the path: it stays, and the rule is taken away",
  async (sandbox) => {
    const container = await running(sandbox);
    const word = `${hostNode(sandbox)}:/dev/added`;
    for (const [swap, seen] of [
      ["rm /dev/added; echo kept > /dev/added", "kept"],
      ["mv /dev/added /dev/moved; mkdir /dev/elsewhere; ln -s elsewhere /dev/added", ""],
      ["rm /dev/added; mknod /dev/added p", ""],
    ] as const) {
      succeed("devices add", await devices(sandbox, "add", container, word));
      await output(container, swap);
      succeed("devices remove", await devices(sandbox, "remove", container, "/dev/added"));
      expect(await ruleOf(container)).toBe("");
      expect(await added(sandbox, container)).toEqual([]);
      if (seen !== "") expect(await output(container, "cat /dev/added")).toBe(seen);
      expect(await output(container, "ls -d /dev/added")).toBe("/dev/added");
      await output(container, "rm -rf /dev/added /dev/elsewhere");
    }
  },
);

live(
  "devices remove, the container has mounted something on the node: a warning, and the rule is taken away",
  async (sandbox) => {
    const container = await running(sandbox);
    const word = `${hostNode(sandbox)}:/dev/added`;
    succeed("devices add", await devices(sandbox, "add", container, word));
    await output(container, "mount -o bind /dev/added /dev/added");
    const { code, stderr } = await devices(sandbox, "remove", container, "/dev/added");
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /level=warning msg="\/dev\/added stays in container \S+, without the rule .*: something is mounted on it"/,
    );
    expect(await access(container, "/dev/added")).toBe("");
  },
);

live("devices add, two paths of one device: each remove takes one", async (sandbox) => {
  const container = await running(sandbox);
  const source = hostNode(sandbox);
  succeed("add", await devices(sandbox, "add", container, `${source}:/dev/a:r`));
  succeed("add", await devices(sandbox, "add", container, `${source}:/dev/b:w`));
  expect(await ruleOf(container)).toBe("rw");
  succeed("remove", await devices(sandbox, "remove", container, "/dev/b"));
  expect(await ruleOf(container)).toBe("r");
  succeed("remove", await devices(sandbox, "remove", container, `${source}:/dev/a`));
  expect(await ruleOf(container)).toBe("");
});

live("update, with a list of devices and without: added devices stay", async (sandbox) => {
  const container = await running(sandbox);
  succeed("add", await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/added`));
  const update = (resources: unknown): Promise<Result> => {
    const file = sandbox.path("resources.json");
    writeFileSync(file, JSON.stringify(resources));
    return sandbox.invoke(["update", "--resources", file, container.id]);
  };
  succeed("update", await update({}));
  expect(await access(container, "/dev/added")).toBe("rw");
  succeed("update", await update({ devices: [{ allow: false, access: "rwm" }] }));
  expect(await access(container, "/dev/added")).toBe("rw");
  succeed("remove", await devices(sandbox, "remove", container, "/dev/added"));
  expect(await traces(sandbox, container, "/dev/added")).toEqual(NOTHING);
});

live("devices add, a container whose rules allow everything: they still do", async (sandbox) => {
  const container = await running(sandbox, (config) => {
    config.linux.resources = { devices: [{ allow: true, access: "rwm" }] };
  });
  succeed("add", await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/added:r`));
  expect(await access(container, "/dev/added")).toBe("rw");
  succeed("remove", await devices(sandbox, "remove", container, "/dev/added"));
  expect(await ruleOf(container)).toBe("rw");
});

live(
  "devices add in a user namespace: a read-only mount of the host's node, whose owner stays",
  async (sandbox) => {
    const container = mappedShell(sandbox, "exec sleep 1000", (config) => {
      config.root.readonly = false;
    });
    await container.started();
    const word = `${hostNode(sandbox)}:/dev/sub/added`;
    succeed("add", await devices(sandbox, "add", container, word));
    expect(await output(container, "stat -c '%t:%T %a %u' /dev/sub/added")).toBe("a:e5 666 65534");
    expect(await access(container, "/dev/sub/added")).toBe("rw");
    expect(await output(container, "chmod 600 /dev/sub/added")).toMatch(/Read-only|not permitted/);
    expect(await output(container, "cat /proc/self/mountinfo")).toMatch(
      / \/dev\/sub\/added ro,nosuid,noexec\S* (?!shared)/,
    );
    succeed("remove", await devices(sandbox, "remove", container, "/dev/sub/added"));
    expect(await output(container, "ls /dev/sub; cat /proc/self/mountinfo")).toMatch(/No such file/);
    expect(await output(container, "cat /proc/self/mountinfo")).not.toContain("added");
    expectRefusal(
      await devices(sandbox, "add", container, `${hostNode(sandbox, "other", "c 1 11")}:/dev/null`),
      "/dev/null exists in the container and is not the device c 1:11",
    );
  },
);

live("devices add and remove in a user namespace without root: as in one with root", async (sandbox) => {
  const container = await running(sandbox, mapNoRoot);
  succeed("add", await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/sub/added`));
  expect(await access(container, "/dev/sub/added")).toBe("rw");
  succeed("remove", await devices(sandbox, "remove", container, "/dev/sub/added"));
  expect(await output(container, "ls /dev/sub")).toMatch(/No such file/);
});

live(
  "devices list: devices of every container, of the config, and added ones, with access",
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.linux.devices = [{ type: "b", path: "/dev/disk", major: 7, minor: 1 }];
    });
    const source = hostNode(sandbox);
    succeed("add", await devices(sandbox, "add", container, `${source}:/dev/added:r`));
    const found = await list(sandbox, container);
    expect(found).toContainEqual({
      path: "/dev/null",
      type: "c",
      major: 1,
      minor: 3,
      access: "rwm",
      origin: "default",
    });
    expect(found).toContainEqual({
      path: "/dev/disk",
      type: "b",
      major: 7,
      minor: 1,
      access: "m",
      origin: "config",
    });
    expect(found.at(-1)).toEqual({ ...NUMBERS, path: "/dev/added", access: "rm", origin: "added", source });
    const { stdout } = await sandbox.invoke(["devices", "list", container.id]);
    expect(stdout).toMatch(/^DEVICE +TYPE +NUMBER +ACCESS +ORIGIN +SOURCE\n/);
    expect(stdout).toMatch(/^\/dev\/disk +b +7:1 +m +config$/m);
    expect(stdout).toMatch(/^\/dev\/added +c +10:229 +rm +added +\/\S+node$/m);
  },
);

live("doctor, added devices: no deviation", async (sandbox) => {
  const container = await running(sandbox);
  succeed("add", await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/added`));
  const good = await sandbox.invoke(["doctor", container.id]);
  expect(good).toMatchObject({ code: 0, stderr: "" });
  expect(good.stdout).toMatch(/^ {2}ok +\/dev\/added +is 10:229, added by devices add$/m);
  await output(container, "rm /dev/added");
  expect((await sandbox.invoke(["doctor", container.id])).stdout).toMatch(/^ {2}BAD +\/dev\/added +is not/m);
});

live(
  "devices add, a container that is created, paused, stopped or unknown: allowed only when created",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["sleep", "1000"];
      config.root.readonly = false;
      const names = ["CAP_MKNOD"];
      config.process.capabilities = { bounding: names, effective: names, permitted: names };
    });
    const word = `${hostNode(sandbox)}:/dev/added`;
    succeed("create", await container.create());
    succeed("add", await devices(sandbox, "add", container, word));
    succeed("start", await container.start());
    expect(await access(container, "/dev/added")).toBe("rw");
    succeed("pause", await sandbox.invoke(["pause", container.id]));
    for (const action of ["add", "remove"])
      expectRefusal(
        await devices(sandbox, action, container, `${word}:r`),
        /cannot change a paused container/,
      );
    succeed("resume", await sandbox.invoke(["resume", container.id]));
    expect(await ruleOf(container)).toBe("rw");
    await container.kill("KILL");
    await container.until("stopped");
    expectRefusal(await devices(sandbox, "add", container, word), /container not running/);
    expectRefusal(await devices(sandbox, "list", container), /container not running/);
    expectRefusal(await sandbox.invoke(["devices", "list", "nobody"]), /does not exist/);
    expect(await container.delete()).toMatchObject({ code: 0, stderr: "" });
  },
);

live("devices add, a container without a mount namespace: refused", async (sandbox) => {
  const container = await running(sandbox, (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "mount");
    config.mounts = [];
    config.linux.maskedPaths = [];
    config.linux.readonlyPaths = [];
  });
  expectRefusal(await devices(sandbox, "add", container, hostNode(sandbox)), /no mount namespace of its own/);
});

live("devices add --rootless=true, and without a cgroup: errors that name it", async (sandbox) => {
  const container = await running(sandbox);
  const word = `${hostNode(sandbox)}:/dev/added`;
  const rootless = await sandbox.invoke(["--rootless=true", "devices", "add", container.id, word]);
  expectRefusal(rootless, /a rootless caller can't change device rules/);
  expect(await traces(sandbox, container, "/dev/added")).toEqual(NOTHING);
});

live(
  "devices add, another program has replaced the device program: refused, and that one stays",
  async (sandbox) => {
    const container = await running(sandbox);
    const file = stateFile(sandbox, container);
    // As if the rules on the cgroup were those of somebody else: the record says that there is one more.
    const other = { path: "/dev/x", source: "/dev/x", type: "b", major: 9, minor: 9, access: "r" };
    const record = parseObject(readFileSync(file, "utf8"));
    writeFileSync(
      file,
      JSON.stringify({ ...record, devices: [{ ...other, made: "nothing", directories: [] }] }),
    );
    expectRefusal(
      await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/added`),
      /another program has replaced the device rules of cgroup \S+, or another version of runts has made them: .*update with a list of devices/,
    );
    writeFileSync(file, JSON.stringify(record));
    expect(await traces(sandbox, container, "/dev/added")).toEqual(NOTHING);
  },
);

live("devices with an unknown action, or without a device: usage error", async (sandbox) => {
  const container = await running(sandbox);
  expectRefusal(await sandbox.invoke(["devices", "change", container.id]), /must be add, remove or list/);
  expectRefusal(await sandbox.invoke(["devices", "add", container.id]), /devices add needs a device/);
  expectRefusal(await sandbox.invoke(["devices", "list", container.id, "/dev/x"]), /takes no device/);
});

if (IS_RUNTS) {
  spec(
    "devices add and remove: the record has format 2 as long as there is an added device",
    "promise: a downgrade harms no container",
    async (sandbox) => {
      const container = await running(sandbox);
      const format = () => parseObject(readFileSync(stateFile(sandbox, container), "utf8")).formatVersion;
      expect(format()).toBe(1);
      succeed("add", await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/added`));
      expect(format()).toBe(2);
      succeed("remove", await devices(sandbox, "remove", container, "/dev/added"));
      expect(format()).toBe(1);
    },
  );

  criuSpec("checkpoint, a container with an added device: refused by name", CLAUSE, async (sandbox) => {
    const container = await running(sandbox);
    succeed("add", await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/added`));
    const images = imagesIn(sandbox);
    expectRefusal(
      await sandbox.invoke(["checkpoint", ...images.flags, container.id]),
      /\/dev\/added was added to container \S+ while it ran, .*remove it first/,
    );
    expect((await container.state()).status).toBe("running");
  });
}
