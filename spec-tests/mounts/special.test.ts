import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename } from "node:path";
import { expect } from "vitest";
import { type Config, type Mount, setNamespace } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { delegatedCgroup } from "../harness/host/user.ts";
import { BASE, mappedShell } from "../harness/host/user-namespace.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const DEFAULTS_OF_CRUN =
  "other defaults: a tmpfs gets a mode; the mounts below the host's /sys stay writable";
const DEFAULTS_OF_RUNC =
  "acl is MS_POSIXACL in 1.1; a tmpfs gets a mode; sysfs is never replaced; /proc is needed; labels go to mount(2) without SELinux too";

const CLAUSE = "config.md, mounts";
const PRACTICE = "practice of runc and crun";

function add(...mounts: Mount[]): (config: Config) => void {
  return (config) => void config.mounts.push(...mounts);
}

/** Replaces the mount of the default config at this place. */
function replace(config: Config, mount: Mount): void {
  config.mounts = config.mounts.map((old) => (old.destination === mount.destination ? mount : old));
}

function inUserNamespace(
  sandbox: Sandbox,
  script: string,
  mutate: (config: Config) => void = () => undefined,
): Container {
  return mappedShell(sandbox, script, (config) => {
    config.root.readonly = false;
    mutate(config);
  });
}

async function expectRefused(sandbox: Sandbox, container: Container, words?: RegExp): Promise<void> {
  sandbox.settle();
  expectRefusal(await container.create(), IS_RUNTS ? words : undefined);
  expect(await sandbox.traces()).toEqual([]);
}

spec(
  "mount without options and source: nothing beyond the defaults of the kernel",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell(
      "grep ' /mnt ' /proc/self/mountinfo",
      add({ destination: "/mnt", type: "tmpfs" }),
    );
    expect(await container.output()).toMatch(/ \/mnt rw,relatime - tmpfs \S+ rw\n$/);
  },
  { crun: DEFAULTS_OF_CRUN, runc: DEFAULTS_OF_RUNC },
);

spec(
  "no mounts at all: the runtime adds none",
  "config-linux.md, Default Filesystems",
  async (sandbox) => {
    const container = sandbox.shell("ls /proc /sys /dev/shm 2>/dev/null; echo end", (config) => {
      config.mounts = [];
      config.root.readonly = false;
      delete config.linux.maskedPaths;
      delete config.linux.readonlyPaths;
    });
    expect((await container.output()).replaceAll(/^(\/\S+:)?\n/gm, "")).toBe("end\n");
  },
  { runc: DEFAULTS_OF_RUNC },
);

spec("overlay: its options reach the file system", `${CLAUSE}: unknown options are data`, async (sandbox) => {
  for (const name of ["lower", "upper", "work"]) mkdirSync(sandbox.path(name));
  writeFileSync(sandbox.path("lower/file"), "lower\n");
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", sandbox.path("upper")]);
  sandbox.atEnd(() => void execFileSync("umount", [sandbox.path("upper")]));
  for (const name of ["data", "work"]) mkdirSync(sandbox.path(`upper/${name}`));
  const data = ["lowerdir=lower", "upperdir=upper/data", "workdir=upper/work"];
  const options = data.map((option) => option.replace("=", `=${sandbox.directory}/`));
  const mount = { destination: "/mnt", type: "overlay", source: "overlay", options };
  const container = sandbox.shell("cat /mnt/file; echo new > /mnt/made", add(mount));
  expect(await container.output()).toBe("lower\n");
  expect(readFileSync(sandbox.path("upper/data/made"), "utf8")).toBe("new\n");
});

const aclDeviations = byCase({
  runc: {
    reason:
      "acl is MS_POSIXACL in 1.1; a tmpfs gets a mode; sysfs is never replaced; /proc is needed; labels go to mount(2) without SELinux too",
    before: "1.2",
  },
  cases: ["acl", "noacl"],
});

for (const option of ["acl", "noacl", "rsync", "rmand"]) {
  spec(
    `tmpfs with ${option}: handed to the file system, which refuses it`,
    CLAUSE,
    async (sandbox) => {
      const mount = { destination: "/mnt", type: "tmpfs", source: "tmpfs", options: [option] };
      const words = new RegExp(`/mounts/7: .*\\b${option}\\b`);
      await expectRefused(sandbox, sandbox.container(add(mount)), words);
    },
    aclDeviations(option),
  );
}

const rootDeviations = byCase({
  crun: { reason: "a mount on / takes the place of the rootfs", from: "1.22" },
  runc: {
    reason: "a mount on / takes the place of the rootfs, before the fixes of CVE-2025-52881",
    before: "1.2.8",
  },
  cases: ["a bind mount"],
});

for (const [kind, mount] of [
  ["a bind mount", { destination: "/", source: "rootfs", options: ["bind"] }],
  ["a tmpfs", { destination: "/", type: "tmpfs", source: "tmpfs" }],
  ["a remount", { destination: "/", options: ["remount", "ro"] }],
] as const) {
  spec(
    `${kind} on /: error that names the destination, nothing left`,
    "runc#5070",
    async (sandbox) => {
      const container = sandbox.container((config) =>
        config.mounts.unshift({ ...mount, options: [...(mount.options ?? [])] }),
      );
      await expectRefused(sandbox, container, /^runts: \/mounts\/0\/destination: .*root file system/);
    },
    rootDeviations(kind),
  );
}

const procDeviations = byCase({
  crun: "allows any bind on /proc and below it",
  cases: ["bind of a plain folder on /proc", "bind inside /proc"],
});

// proc and sysfs

for (const [title, mount] of [
  ["tmpfs on /proc", { destination: "/proc", type: "tmpfs", source: "tmpfs" }],
  ["bind of a plain folder on /proc", { destination: "/proc", source: "/tmp", options: ["bind"] }],
  ["bind inside /proc", { destination: "/proc/sys", source: "/tmp", options: ["bind"] }],
  ["proc inside /proc by another name", { destination: "//proc/./self", type: "proc", source: "proc" }],
] as const) {
  spec(
    `${title}: error, nothing left`,
    "CVE-2019-16884, CVE-2023-27561",
    async (sandbox) => {
      await expectRefused(
        sandbox,
        sandbox.container(add({ ...mount, options: ["bind"] })),
        /\/mounts\/7.*\/proc/,
      );
    },
    procDeviations(title),
  );
}

for (const name of ["cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg"]) {
  spec(`bind of a file on /proc/${name}: allowed`, "lxcfs", async (sandbox) => {
    writeFileSync(sandbox.path("fake"), "fake\n");
    const mount = { destination: `/proc/${name}`, source: sandbox.path("fake"), options: ["bind", "ro"] };
    expect(await sandbox.shell(`cat /proc/${name}`, add(mount)).output()).toBe("fake\n");
  });
}

spec("bind of a procfs on /proc: allowed", PRACTICE, async (sandbox) => {
  const container = sandbox.shell("cat /proc/sys/kernel/ostype", (config) => {
    setNamespace(config, "pid", undefined);
    replace(config, { destination: "/proc", type: "bind", source: "/proc", options: ["rbind"] });
  });
  expect(await container.output()).toBe("Linux\n");
});

for (const [name, type, found, index] of [
  ["proc", "proc", "symlink", 0],
  ["proc", "proc", "file", 0],
  ["sys", "sysfs", "symlink", 5],
  ["sys", "sysfs", "file", 5],
] as const) {
  spec(
    `${type} over a ${found} /${name} in the rootfs: error, nothing left`,
    "CVE-2019-19921",
    async (sandbox) => {
      const container = sandbox.container();
      const place = `${container.rootfs}/${name}`;
      rmSync(place, { recursive: true });
      if (found === "symlink") symlinkSync("/tmp", place);
      else writeFileSync(place, "");
      const words = `filesystem "${type}" must be mounted on ordinary directory`;
      await expectRefused(
        sandbox,
        container,
        new RegExp(`/mounts/${index}: mount ${type} on /${name}: ${words}`),
      );
    },
  );
}

spec(
  "user namespace, the host's network and sysfs with ro: the host's /sys, read-only with all mounts below",
  "practice of crun",
  async (sandbox) => {
    const container = inUserNamespace(
      sandbox,
      "ls -d /sys/kernel; grep -E ' /sys(/.*)? ' /proc/self/mountinfo | cut -d' ' -f5,6",
      (config) => {
        setNamespace(config, "network", undefined);
        delete config.linux.maskedPaths;
      },
    );
    const [folder, ...lines] = (await container.output()).trim().split("\n");
    expect(folder).toBe("/sys/kernel");
    expect(lines[0]).toMatch(/^\/sys ro,nosuid,nodev,noexec/);
    expect(lines.filter((line) => !/^\S+ ro,/.test(line))).toEqual([]);
  },
  { crun: DEFAULTS_OF_CRUN, runc: DEFAULTS_OF_RUNC },
);

spec(
  "user namespace, the host's network and sysfs without ro: error, nothing left",
  PRACTICE,
  async (sandbox) => {
    const container = inUserNamespace(sandbox, "true", (config) => {
      setNamespace(config, "network", undefined);
      replace(config, { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid"] });
    });
    await expectRefused(sandbox, container, /\/mounts\/5: .*sysfs/);
  },
);

// cgroup

/** Prints 1 if the path in /proc/self/cgroup, below /sys/fs/cgroup, is the program's own cgroup. */
const OWN_CGROUP =
  'own=$(sed -n s/^0:://p /proc/self/cgroup); grep -c "^$$$" "/sys/fs/cgroup$own/cgroup.procs"';

for (const [situation, make] of [
  ["", (sandbox: Sandbox, script: string, mutate: (config: Config) => void) => sandbox.shell(script, mutate)],
  [", user namespace", inUserNamespace],
] as const) {
  spec(
    `cgroup mount without a cgroup namespace${situation}: the whole hierarchy, with the path of /proc/self/cgroup`,
    `${PRACTICE}: podman run --cgroupns=host`,
    async (sandbox) => {
      const script = `${OWN_CGROUP}; grep ' /sys/fs/cgroup ' /proc/self/mountinfo | cut -d' ' -f4,6; mkdir /sys/fs/cgroup/x`;
      const container = make(sandbox, script, (config) => setNamespace(config, "cgroup", undefined));
      const { stdout, stderr } = await container.run();
      const [own, place] = stdout.trim().split("\n");
      expect(own).toBe("1");
      expect(place).toMatch(/^\/ ro,nosuid,nodev,noexec/);
      expect(stderr).toMatch(/Read-only file system|Permission denied/);
    },
  );
}

spec(
  "cgroup mount at another path, without a cgroup namespace, partly masked: shows all but the masked files",
  PRACTICE,
  async (sandbox) => {
    const container = sandbox.shell(
      "ls /hierarchy | grep -x cgroup.procs; cat /hierarchy/cgroup.procs; grep -c '' /hierarchy/cgroup.controllers",
      (config) => {
        setNamespace(config, "cgroup", undefined);
        config.mounts.push({ destination: "/hierarchy", type: "cgroup2", source: "cgroup", options: ["ro"] });
        config.linux.maskedPaths = ["/hierarchy/cgroup.procs"];
        config.root.readonly = false;
      },
    );
    expect(await container.output()).toBe("cgroup.procs\n1\n");
  },
);

spec(
  "cgroup mount with rw, without a cgroup namespace: the container can make cgroups below its own",
  PRACTICE,
  async (sandbox) => {
    const script =
      'cd "/sys/fs/cgroup/$(sed -n s/^0::.//p /proc/self/cgroup)"; mkdir made && rmdir made && echo made';
    const container = sandbox.shell(script, (config) => {
      setNamespace(config, "cgroup", undefined);
      replace(config, { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["rw"] });
    });
    expect(await container.output()).toBe("made\n");
  },
);

/** Stands for a host that is a container itself: a mount namespace in which the command `mount` replaces /sys/fs/cgroup. */
function withHierarchy(mount: string): string[] {
  return ["unshare", "--mount", "sh", "-c", `${mount}; exec "$@"`, "sh"];
}

if (IS_RUNTS) {
  spec(
    "cgroup mount without a cgroup namespace, a host that shows only part of the hierarchy: error that names it",
    "promise: a mount shows what is asked for, or create fails",
    async (sandbox) => {
      const part = delegatedCgroup(sandbox, "part");
      const container = sandbox.shell("true", (config) => setNamespace(config, "cgroup", undefined));
      sandbox.wrapper = withHierarchy(`mount --bind ${part} /sys/fs/cgroup`);
      await expectRefused(
        sandbox,
        container,
        new RegExp(
          `/mounts/6: .*cgroup namespace.*/sys/fs/cgroup shows only those of /${basename(part)} here`,
        ),
      );
    },
  );
}

spec("cgroup mount with rw: the container can make sub-cgroups", PRACTICE, async (sandbox) => {
  const container = sandbox.shell(
    "mkdir /sys/fs/cgroup/sub && rmdir /sys/fs/cgroup/sub && echo made",
    (config) => {
      replace(config, { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["rw"] });
    },
  );
  expect(await container.output()).toBe("made\n");
});

// tmpfs

spec("tmpfs without mode=: the mode of the folder that it covers", PRACTICE, async (sandbox) => {
  const container = sandbox.shell(
    "stat -c %a /cover /made /moded",
    add(
      { destination: "/cover", type: "tmpfs", source: "tmpfs" },
      { destination: "/made", type: "tmpfs", source: "tmpfs" },
      { destination: "/moded", type: "tmpfs", source: "tmpfs", options: ["mode=711"] },
    ),
  );
  mkdirSync(`${container.rootfs}/cover`);
  chmodSync(`${container.rootfs}/cover`, 0o2750);
  mkdirSync(`${container.rootfs}/moded`);
  const [cover, made, moded] = (await container.output()).trim().split("\n");
  expect(cover).toBe("2750");
  expect(["755", "1777"]).toContain(made);
  expect(moded).toBe("711");
});

spec("tmpfs with ro and a mount below it: filled, then read-only", PRACTICE, async (sandbox) => {
  const container = sandbox.shell(
    "ls /cover; touch /cover/x 2>/dev/null || echo ro; touch /cover/below/x && echo rw",
    add(
      { destination: "/cover", type: "tmpfs", source: "tmpfs", options: ["ro", "nosuid"] },
      { destination: "/cover/below", type: "tmpfs", source: "tmpfs" },
    ),
  );
  expect(await container.output()).toBe("below\nro\nrw\n");
});

spec("/dev with ro: has its devices, and is read-only", PRACTICE, async (sandbox) => {
  const container = sandbox.shell(
    "echo x > /dev/null && readlink /dev/fd; touch /dev/x 2>/dev/null || echo ro",
    (config) =>
      replace(config, {
        destination: "/dev",
        type: "tmpfs",
        source: "tmpfs",
        options: ["ro", "nosuid", "mode=755"],
      }),
  );
  expect(await container.output()).toBe("/proc/self/fd\nro\n");
});

spec(
  "tmpfs with tmpcopyup: folders, links, modes and owners as they were",
  `${CLAUSE}: tmpcopyup MAY`,
  async (sandbox) => {
    const container = sandbox.shell(
      "cd /cover; stat -c '%n %F %a %u:%g' . sub sub/file link; readlink link; cat sub/file",
      add({ destination: "/cover", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup", "nosuid"] }),
    );
    const cover = `${container.rootfs}/cover`;
    mkdirSync(`${cover}/sub`, { recursive: true });
    writeFileSync(`${cover}/sub/file`, "text\n");
    chownSync(`${cover}/sub/file`, 3, 4);
    chmodSync(`${cover}/sub/file`, 0o644);
    chmodSync(`${cover}/sub`, 0o751);
    chmodSync(cover, 0o711);
    symlinkSync("sub/file", `${cover}/link`);
    expect(await container.output()).toBe(
      ". directory 711 0:0\nsub directory 751 0:0\nsub/file regular file 644 3:4\nlink symbolic link 777 0:0\nsub/file\ntext\n",
    );
  },
);

// devpts and mqueue

spec(
  "devpts with a gid that the user namespace doesn't map: error that names the option",
  "spec --rootless leaves it out",
  async (sandbox) => {
    const container = inUserNamespace(sandbox, "true", (config) => {
      config.linux.gidMappings = [{ containerID: 0, hostID: BASE, size: 1 }];
    });
    await expectRefused(sandbox, container, /\/mounts\/2: mount devpts on \/dev\/pts: .*gid=5/);
  },
);

spec("user namespace with gid 5 mapped: devpts has the mapped gid", PRACTICE, async (sandbox) => {
  const container = inUserNamespace(sandbox, "grep ' /dev/pts ' /proc/self/mountinfo");
  expect(await container.output()).toContain(`gid=${BASE + 5},mode=620,ptmxmode=666`);
});

spec(
  "mqueue: shows the queues of the container's ipc namespace",
  "config-linux.md, Default Filesystems",
  async (sandbox) => {
    const own = sandbox.shell("touch /dev/mqueue/queue && ls /dev/mqueue");
    expect(await own.output()).toBe("queue\n");
    expect(await sandbox.shell("ls /dev/mqueue").output()).toBe("");
  },
);

// linux.mountLabel

spec(
  "mountLabel where SELinux is off: a warning, no error",
  "runtime-tools, linux_mount_label",
  async (sandbox, context) => {
    if (existsSync("/sys/fs/selinux/enforce")) context.skip("this host has SELinux");
    const label = "system_u:object_r:svirt_sandbox_file_t:s0:c715,c811";
    const log = sandbox.path("log");
    const container = sandbox.shell("echo ran", (config) => {
      config.linux.mountLabel = label;
    });
    expect(await container.output({ globals: ["--log", log] })).toBe("ran\n");
    if (IS_RUNTS)
      expect(readFileSync(log, "utf8")).toMatch(/level=warning.*\/linux\/mountLabel: SELinux is not enabled/);
  },
  { runc: DEFAULTS_OF_RUNC },
);
