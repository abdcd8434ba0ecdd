import { mkdirSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const DEFAULTS = "config-linux.md, Default Devices";

spec(
  "default devices: null, zero, full, random, urandom, tty, with their numbers and mode 666",
  `${DEFAULTS}: MUST be supplied`,
  async (sandbox) => {
    const script =
      "stat -c '%n %t:%T %a %u:%g %F' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty";
    const line = (name: string, numbers: string): string =>
      `/dev/${name} ${numbers} 666 0:0 character special file\n`;
    expect(await sandbox.shell(script).output()).toBe(
      line("null", "1:3") +
        line("zero", "1:5") +
        line("full", "1:7") +
        line("random", "1:8") +
        line("urandom", "1:9") +
        line("tty", "5:0"),
    );
  },
);

spec("default devices: they can be read and written", DEFAULTS, async (sandbox) => {
  const script =
    "echo x > /dev/null; head -c 2 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; echo x 2>&1 > /dev/full";
  const { stdout, stderr } = await sandbox.shell(script).run();
  expect(stdout.trim().split(/\s+/).slice(0, 2)).toEqual(["2", "4"]);
  expect(stdout + stderr).toMatch(/No space left/);
});

spec(
  "default symlinks: ptmx, fd, stdin, stdout, stderr",
  "config-linux.md, Dev symbolic links: MUST be supplied",
  async (sandbox) => {
    const script = "for name in fd stdin stdout stderr ptmx; do readlink /dev/$name; done";
    expect(await sandbox.shell(script).output()).toMatch(
      /^\/proc\/self\/fd\n\/proc\/self\/fd\/0\n\/proc\/self\/fd\/1\n\/proc\/self\/fd\/2\n(\/dev\/)?pts\/ptmx\n$/,
    );
  },
);

spec("/dev: nothing beyond what the spec and the mounts ask for", DEFAULTS, async (sandbox) => {
  const allowed =
    "console core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero".split(" ");
  const names = (await sandbox.shell("ls /dev").output()).trim().split("\n");
  expect(names.filter((name) => !allowed.includes(name))).toEqual([]);
});

const DEVICES = "config-linux.md, Devices";

spec("devices: nodes with type, numbers, mode and owner", DEVICES, async (sandbox) => {
  const container = sandbox.shell("stat -c '%n %F %t:%T %a %u:%g' /dev/made /dev/blk /dev/pipe", (config) => {
    config.linux.devices = [
      { type: "c", path: "/dev/made", major: 10, minor: 229, fileMode: 0o640, uid: 1000, gid: 2000 },
      { type: "b", path: "/dev/blk", major: 7, minor: 200, fileMode: 0o600, uid: 0, gid: 0 },
      { type: "p", path: "/dev/pipe", fileMode: 0o622, uid: 0, gid: 0 },
    ];
  });
  expect(await container.output()).toBe(
    "/dev/made character special file a:e5 640 1000:2000\n/dev/blk block special file 7:c8 600 0:0\n/dev/pipe fifo 0:0 622 0:0\n",
  );
});

spec("devices below a missing folder: the folder is made", DEVICES, async (sandbox) => {
  const container = sandbox.shell("stat -c %F /dev/net/tun", (config) => {
    config.linux.devices = [
      { type: "c", path: "/dev/net/tun", major: 10, minor: 200, fileMode: 0o666, uid: 0, gid: 0 },
    ];
  });
  expect(await container.output()).toBe("character special file\n");
});

spec(
  "devices listing a default one again: no error",
  DEVICES,
  async (sandbox) => {
    const container = sandbox.shell("stat -c %a /dev/null", (config) => {
      config.linux.devices = [
        { type: "c", path: "/dev/null", major: 1, minor: 3, fileMode: 0o666, uid: 0, gid: 0 },
      ];
    });
    expect(await container.output()).toBe("666\n");
  },
  { runc: "a listed device replaces the default one, so that it needs a rule of its own to be opened" },
);

spec(
  "devices with an unknown type: error",
  `${DEVICES}: MUST error`,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.linux.devices = [{ type: "x", path: "/dev/x", major: 1, minor: 3 }];
    });
    expectRefusal(await container.create(), inOurWords("/linux/devices/0/type: "));
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "an unknown type makes a character device" },
);

spec(
  "/dev a symlink in the rootfs: nothing is made on the host",
  "CVE-2026-41579, CVE-2026-47766",
  async (sandbox) => {
    const outside = sandbox.path("outside");
    mkdirSync(outside);
    const container = sandbox.shell("true", (config) => {
      config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith("/dev"));
    });
    rmSync(join(container.rootfs, "dev"), { recursive: true });
    symlinkSync(`../../..${outside}`, join(container.rootfs, "dev"));
    await container.run();
    expect(readdirSync(outside)).toEqual([]);
  },
);

spec(
  "devpts newinstance: the host's terminals are not seen",
  "config-linux.md, Default Filesystems",
  async (sandbox) => {
    expect(await sandbox.shell("ls /dev/pts").output()).toBe("ptmx\n");
  },
);
