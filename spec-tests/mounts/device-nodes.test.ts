import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { giveToMappedRoot, mappedShell } from "../harness/host/user-namespace.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const HOST_NODE_BOUND = "in a user namespace, binds the host's node, whatever the config says";
const DEFAULT_DEVICES_BOUND =
  "binds the default devices over those of the config; an unmapped owner becomes nobody";

const CLAUSE = "config-linux.md, Devices";

const ZERO = { type: "c", path: "/dev/own", major: 1, minor: 5, fileMode: 0o666 };

/** Arguments for a container that runs a line of shell. */
type ShellParts = [script: string, mutate: (config: Config) => void];

function mountOn(config: Config, destination: string, source: string): void {
  config.mounts.push({ destination, type: "bind", source, options: ["bind"] });
}

type Devices = NonNullable<Config["linux"]["devices"]>;

function withDevices(
  sandbox: Sandbox,
  script: string,
  devices: Devices,
  mounts?: Config["mounts"],
): Container {
  return sandbox.shell(script, (config) => {
    config.linux.devices = devices;
    if (mounts !== undefined) config.mounts = mounts;
  });
}

spec("devices of type u: a character device", CLAUSE, async (sandbox) => {
  const devices = [{ type: "u", path: "/dev/own", major: 1, minor: 3, fileMode: 0o600 }];
  const container = withDevices(sandbox, "stat -c '%F %t:%T' /dev/own", devices);
  expect(await container.output()).toBe("character special file 1:3\n");
});

spec("devices outside of /dev: made there, with missing folders", `${CLAUSE}: path`, async (sandbox) => {
  const devices = [{ type: "c", path: "/opt/own/zero", major: 1, minor: 5, fileMode: 0o666 }];
  const container = withDevices(sandbox, "stat -c '%F %t:%T' /opt/own/zero", devices);
  expect(await container.output()).toBe("character special file 1:5\n");
});

spec("devices below a mount: made in it", `${CLAUSE}: available in the container`, async (sandbox) => {
  const devices = [{ type: "c", path: "/mnt/own", major: 1, minor: 5, fileMode: 0o666 }];
  const container = sandbox.shell("stat -c '%F %t:%T' /mnt/own", (config) => {
    config.linux.devices = devices;
    config.mounts.push({ destination: "/mnt", type: "tmpfs", source: "tmpfs" });
  });
  expect(await container.output()).toBe("character special file 1:5\n");
  expect(readdirSync(join(container.rootfs, "mnt"))).toEqual([]);
});

spec("devices, a caller with a umask: the mode is as listed", `${CLAUSE}: fileMode`, async (sandbox) => {
  const devices = [{ type: "c", path: "/dev/own", major: 1, minor: 3, fileMode: 0o666 }];
  const container = withDevices(sandbox, "stat -c %a /dev/own", devices);
  const wrapper = ["sh", "-c", 'umask 077; exec "$@"', "sh"];
  expect(await container.output({ wrapper })).toBe("666\n");
});

spec("devices with the same numbers twice: both are made", `${CLAUSE}: SHOULD NOT`, async (sandbox) => {
  const devices = ["/dev/one", "/dev/two"].map((path) => ({ type: "c", path, major: 1, minor: 3 }));
  const container = withDevices(sandbox, "stat -c %t:%T /dev/one /dev/two", devices);
  expect(await container.output()).toBe("1:3\n1:3\n");
});

for (const missing of ["major", "minor"] as const) {
  spec(
    `devices without ${missing}: error that names it`,
    `${CLAUSE}: REQUIRED unless p`,
    async (sandbox) => {
      const { [missing]: _, ...device } = { type: "c", path: "/dev/own", major: 1, minor: 3 };
      const container = withDevices(sandbox, "true", [device]);
      expectRefusal(await container.create(), IS_RUNTS ? `/linux/devices/0/${missing}` : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    { both: "not checked" },
  );
}

/** A container with the image's own /dev, in which `make` puts something at the device's path. */
function withExisting(sandbox: Sandbox, script: string, make: (path: string) => void): Container {
  const container = sandbox.shell(script, (config) => {
    config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith("/dev"));
    config.root.readonly = false;
    config.linux.devices = [{ type: "c", path: "/dev/own", major: 1, minor: 3, fileMode: 0o666 }];
  });
  make(join(container.rootfs, "dev/own"));
  return container;
}

const existingDeviations = byCase(
  {
    both: "EEXIST of mknod counts as success",
    cases: [
      "a file",
      "a symbolic link to the device",
      "another device",
      "a block device with the same numbers",
    ],
  },
  {
    crun: "EEXIST of mknod counts as success",
    runc: "EEXIST of mknod counts as success, also where a directory stands",
    cases: ["a directory"],
  },
);

for (const [situation, make] of [
  ["a file", (path: string) => writeFileSync(path, "")],
  ["a directory", (path: string) => mkdirSync(path)],
  ["a symbolic link to the device", (path: string) => symlinkSync("null", path)],
  ["another device", (path: string) => void execFileSync("mknod", [path, "c", "1", "5"])],
  [
    "a block device with the same numbers",
    (path: string) => void execFileSync("mknod", [path, "b", "1", "3"]),
  ],
] as const) {
  spec(
    `devices where ${situation} exists: error that names it`,
    `${CLAUSE}: MUST error`,
    async (sandbox) => {
      const container = withExisting(sandbox, "true", make);
      expectRefusal(await container.create(), IS_RUNTS ? "runts: /linux/devices/0: /dev/own" : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    existingDeviations(situation),
  );
}

spec("devices where that device exists: accepted", CLAUSE, async (sandbox) => {
  const container = withExisting(sandbox, "stat -c %t:%T /dev/own", (path) => {
    execFileSync("mknod", [path, "c", "1", "3"]);
  });
  expect(await container.output()).toBe("1:3\n");
});

/** Opens a terminal, and lists the terminals of the container's devpts. */
const OPEN_TERMINAL = "exec 3<>/dev/ptmx; ls /dev/pts";

const PTMX = { type: "c", path: "/dev/ptmx", major: 5, minor: 2, fileMode: 0o666 };
const LINKS = "config-linux.md, Dev symbolic links";

for (const [situation, shell] of [
  ["", (sandbox: Sandbox, ...rest: ShellParts) => sandbox.shell(...rest)],
  [" in a user namespace", mappedShell],
] as const) {
  spec(
    `devices${situation} with /dev/ptmx: no device, /dev/ptmx links to the container's own`,
    LINKS,
    async (sandbox) => {
      const container = shell(sandbox, `readlink /dev/ptmx; ${OPEN_TERMINAL}`, (config) => {
        config.linux.devices = [PTMX];
      });
      expect(await container.output()).toBe("pts/ptmx\n0\nptmx\n");
    },
  );

  spec(
    `bind mount${situation} on /dev/ptmx: left out with a warning, /dev/ptmx links to the container's own`,
    LINKS,
    async (sandbox) => {
      const container = shell(sandbox, `readlink /dev/ptmx; ${OPEN_TERMINAL}`, (config) =>
        mountOn(config, "/dev/ptmx", "/dev/ptmx"),
      );
      const result = await container.run();
      expect(result).toMatchObject({ code: 0, stdout: "pts/ptmx\n0\nptmx\n" });
      if (IS_RUNTS) expect(result.stderr).toMatch(/\/mounts\/\d+: left out/);
    },
    { runc: "a mount on /dev/ptmx keeps the link from being made: EBUSY" },
  );

  spec(
    `bind mounts${situation} where /dev has links and devices: the bind mounts stay`,
    "config.md, mounts: as the config lists them",
    async (sandbox) => {
      const names = ["core", "fd", "random", "stderr", "stdin", "stdout", "tty"];
      writeFileSync(sandbox.path("file"), "the mount's\n");
      const script = `cd /dev; for name in ${names.join(" ")}; do head -c 12 $name; done`;
      const container = shell(sandbox, script, (config) => {
        for (const name of names) mountOn(config, `/dev/${name}`, sandbox.path("file"));
      });
      expect(await container.output()).toBe("the mount's\n".repeat(names.length));
    },
    shell === mappedShell
      ? { both: "in a user namespace, binds the host's devices over the config's mounts" }
      : {},
  );

  spec(
    `devices${situation} where /dev has links: the devices replace them`,
    "config-linux.md, Devices: available in the container",
    async (sandbox) => {
      const names = ["core", "fd", "stderr", "stdin", "stdout"];
      const script = `cd /dev; stat -c '%F %t:%T' ${names.join(" ")}`;
      const container = shell(sandbox, script, (config) => {
        config.linux.devices = names.map((name) => ({ ...ZERO, path: `/dev/${name}` }));
      });
      expect(await container.output()).toBe("character special file 1:5\n".repeat(names.length));
    },
    shell === mappedShell ? { runc: HOST_NODE_BOUND } : {},
  );
}

for (const [what, device] of [
  ["with other numbers", { ...PTMX, minor: 3 }],
  ["with another type", { ...PTMX, type: "b" }],
  ["by an unnormalized path", { ...PTMX, path: "/dev//pts/../ptmx", major: 1 }],
] as const) {
  spec(
    `devices with a /dev/ptmx ${what}: error that names it`,
    LINKS,
    async (sandbox) => {
      const container = withDevices(sandbox, "true", [device]);
      expectRefusal(await container.create(), IS_RUNTS ? "/linux/devices/0: /dev/ptmx" : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    { both: "ignores any device at the path of the link to the container's own ptmx" },
  );
}

function inUserNamespace(sandbox: Sandbox, script: string, devices: Devices): Container {
  return mappedShell(sandbox, script, (config) => {
    config.linux.devices = devices;
  });
}

spec(
  "devices in a user namespace: a device and a fifo that work",
  CLAUSE,
  async (sandbox) => {
    const devices = [
      { type: "c", path: "/dev/urandom", major: 1, minor: 9, fileMode: 0o666 },
      { type: "p", path: "/dev/pipe", fileMode: 0o622, uid: 5, gid: 6 },
    ];
    const script =
      "stat -c '%F %t:%T' /dev/urandom; head -c 3 /dev/urandom | wc -c; stat -c '%F %a %u:%g' /dev/pipe";
    const container = inUserNamespace(sandbox, script, devices);
    expect(await container.output()).toBe("character special file 1:9\n3\nfifo 622 5:6\n");
  },
  { runc: "in a user namespace, binds even a fifo from the host, which has none" },
);

/** Prints type, numbers, permissions and owner of devices. */
const SHOW_NODES = "stat -c '%n %F %t:%T %a %u:%g'";

spec(
  "devices in a user namespace, the caller is the host's root: nodes with numbers, mode and owner that work",
  CLAUSE,
  async (sandbox) => {
    const devices = [
      { ...ZERO, path: "/dev/none", fileMode: 0o640, uid: 1000, gid: 2000 },
      { ...ZERO, path: "/dev/random", fileMode: 0o600, uid: 0, gid: 0 },
      { type: "b", path: "/opt/own/loop", major: 7, minor: 200, fileMode: 0o660, uid: 5, gid: 6 },
      { type: "c", path: "/dev/null", major: 1, minor: 3, fileMode: 0o622 },
    ];
    const names = devices.map(({ path }) => path).join(" ");
    const container = inUserNamespace(
      sandbox,
      `${SHOW_NODES} ${names}; head -c 3 /dev/random | wc -c`,
      devices,
    );
    expect((await container.output()).trim().split("\n")).toEqual([
      "/dev/none character special file 1:5 640 1000:2000",
      "/dev/random character special file 1:5 600 0:0",
      "/opt/own/loop block special file 7:c8 660 5:6",
      "/dev/null character special file 1:3 622 0:0",
      "3",
    ]);
  },
  { crun: DEFAULT_DEVICES_BOUND, runc: HOST_NODE_BOUND },
);

spec(
  "devices in a user namespace, 260 of them: all are there",
  CLAUSE,
  async (sandbox) => {
    const devices = Array.from({ length: 260 }, (_, index) => ({ ...ZERO, path: `/dev/many/${index}` }));
    const container = inUserNamespace(sandbox, "find /dev/many -type c | wc -l", devices);
    expect(await container.output()).toBe("260\n");
  },
  { runc: HOST_NODE_BOUND },
);

spec(
  "devices in a user namespace, a caller with a umask: the mode is as listed",
  CLAUSE,
  async (sandbox) => {
    const container = inUserNamespace(sandbox, "stat -c %a /dev/own", [ZERO]);
    const wrapper = ["sh", "-c", 'umask 077; exec "$@"', "sh"];
    expect(await container.output({ wrapper })).toBe("666\n");
  },
  { runc: HOST_NODE_BOUND },
);

spec(
  "devices in a joined user namespace: the owner's ids are those inside it",
  CLAUSE,
  async (sandbox) => {
    const holder = inUserNamespace(sandbox, "sleep 1000", []);
    await holder.started();
    const { pid } = await holder.state();
    const container = sandbox.shell("stat -c %u:%g /dev/own", (config) => {
      config.linux.namespaces.push({ type: "user", path: `/proc/${pid}/ns/user` });
      config.linux.devices = [{ ...ZERO, uid: 7, gid: 8 }];
    });
    giveToMappedRoot(container);
    expect(await container.output()).toBe("7:8\n");
  },
  { crun: DEFAULT_DEVICES_BOUND, runc: HOST_NODE_BOUND },
);

spec(
  "devices in a user namespace, with CAP_SYS_ADMIN: no further device can be reached or made",
  "promise",
  async (sandbox) => {
    const devices = [ZERO, { ...ZERO, path: "/dev/other", fileMode: 0o600 }];
    const script = `grep -E ' /dev/(own|other) ' /proc/self/mountinfo | cut -d ' ' -f 4,6
umount /dev/own 2>/dev/null || echo locked
mknod /dev/new c 1 5 2>/dev/null || echo denied`;
    const container = inUserNamespace(sandbox, script, devices);
    expect((await container.output()).trim().split("\n")).toEqual([
      "/0 rw,nosuid,noexec,relatime",
      "/1 rw,nosuid,noexec,relatime",
      "locked",
      "denied",
    ]);
  },
  { crun: "mounts of device nodes have no flags", runc: HOST_NODE_BOUND },
);

for (const name of ["uid", "gid"] as const) {
  spec(
    `devices in a user namespace, a ${name} that is not mapped: error that names it`,
    CLAUSE,
    async (sandbox) => {
      const container = inUserNamespace(sandbox, "true", [{ ...ZERO, [name]: 70_000 }]);
      expectRefusal(await container.create(), IS_RUNTS ? `/linux/devices/0/${name}: 70000` : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: DEFAULT_DEVICES_BOUND },
  );
}

spec(
  "/dev bound from the host: nothing is made or removed in it",
  "config-linux.md, Default Devices: what the engine has prepared",
  async (sandbox) => {
    const folder = sandbox.path("dev");
    mkdirSync(folder);
    writeFileSync(join(folder, "ptmx"), "mine");
    execFileSync("mknod", ["-m", "666", join(folder, "null"), "c", "1", "3"]);
    const container = sandbox.container((config) => {
      config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith("/dev"));
      config.mounts.push({ destination: "/dev", type: "bind", source: folder, options: ["bind"] });
    });
    expect((await container.run()).code).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(["null", "ptmx"]);
    rmSync(folder, { recursive: true });
  },
);
