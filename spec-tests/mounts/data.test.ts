import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config, Mount } from "../harness/config.ts";
import { running } from "../harness/exec.ts";
import { explained } from "../harness/explain/explain.ts";
import { mappedShell } from "../harness/host/user-namespace.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** Options of file systems that are long, or several in one string, as in the data of mount(2). */

const CLAUSE =
  "config.md, mounts: options of the file system; practice of runc and crun, which join them for mount(2)";

function add(mount: Mount): (config: Config) => void {
  return (config) => {
    config.root.readonly = false;
    config.mounts.push(mount);
  };
}

/** Makes folders with a file each, whose paths have at least this length. */
function layers(sandbox: Sandbox, count: number, length: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const path = sandbox.path(`layer-${index}-`.padEnd(length - sandbox.directory.length, "x"));
    mkdirSync(path);
    writeFileSync(`${path}/of-${index}`, `layer ${index}\n`);
    return path;
  });
}

/** Upper and work folder of an overlay, on a tmpfs: the tests' own directory may be on an overlay, which can't hold them. */
function writable(sandbox: Sandbox, name = "writable"): { upper: string; work: string } {
  const place = sandbox.path(name);
  mkdirSync(place);
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", place]);
  sandbox.atEnd(() => void execFileSync("umount", [place]));
  const [upper, work] = [`${place}/upper`, `${place}/work`];
  mkdirSync(upper);
  mkdirSync(work);
  return { upper, work };
}

function overlay(options: string[], destination = "/mnt"): Mount {
  return { destination, type: "overlay", source: "overlay", options };
}

const LIST = "ls /mnt && echo new >/mnt/made; grep ' /mnt ' /proc/self/mountinfo | cut -d' ' -f6";

spec(
  "overlay, a lowerdir of many layers: shows all of them, is writable, and has the mount's flags",
  CLAUSE,
  async (sandbox) => {
    const { upper, work } = writable(sandbox);
    const lower = layers(sandbox, 12, 100);
    const options = [
      `lowerdir=${lower.join(":")}`,
      `upperdir=${upper}`,
      `workdir=${work}`,
      "nosuid",
      "noatime",
    ];
    const container = sandbox.shell(LIST, add(overlay(options)));
    const lines = (await container.output()).trim().split("\n");
    expect(lines.slice(0, -1).sort()).toEqual(lower.map((_, index) => `of-${index}`).sort());
    expect(lines.at(-1)).toBe("rw,nosuid,noatime");
    expect(readFileSync(`${upper}/made`, "utf8")).toBe("new\n");
  },
);

spec("overlay, one layer with a path of more than 255 bytes, with ro: read-only", CLAUSE, async (sandbox) => {
  const deep = `${sandbox.path("y".repeat(200))}/${"z".repeat(200)}`;
  mkdirSync(deep, { recursive: true });
  writeFileSync(`${deep}/deep`, "");
  const [other = ""] = layers(sandbox, 1, 60);
  const container = sandbox.shell(
    `${LIST} 2>&1; wc -l </proc/self/mountinfo; grep -c ' tmpfs tmpfs .*mode=700' /proc/self/mountinfo`,
    add(overlay([`lowerdir=${deep}:${other}`, "ro"])),
  );
  const result = await container.run();
  expect(result.stdout).toMatch(/^deep\nof-0\nro,relatime\n/);
  expect(result.stderr).toMatch(/Read-only file system/);
  // No temporary mount is left.
  expect(result.stdout).toMatch(/\n0\n$/);
});

spec("overlay, a long lowerdir in a user namespace: mounted", CLAUSE, async (sandbox) => {
  const lower = layers(sandbox, 4, 100);
  const container = mappedShell(sandbox, "ls /mnt", add(overlay([`lowerdir=${lower.join(":")}`])));
  expect(await container.output()).toBe("of-0\nof-1\nof-2\nof-3\n");
});

spec(
  "overlay, a long lowerdir, the destination a symlink out of the rootfs: mounted in the rootfs",
  "CVE-2021-30465",
  async (sandbox) => {
    const lower = layers(sandbox, 4, 100);
    const outside = sandbox.path("outside");
    mkdirSync(outside);
    const container = sandbox.shell(`ls ${outside}`, add(overlay([`lowerdir=${lower.join(":")}`], "/link")));
    execFileSync("ln", ["-s", outside, `${container.rootfs}/link`]);
    mkdirSync(`${container.rootfs}${outside}`, { recursive: true });
    expect(await container.output()).toBe("of-0\nof-1\nof-2\nof-3\n");
  },
);

spec(
  "create, overlay with a long lowerdir, a layer missing: error, nothing left",
  CLAUSE,
  async (sandbox) => {
    const lower = [...layers(sandbox, 4, 100), "/no/such/layer"];
    const container = sandbox.container(add(overlay([`lowerdir=${lower.join(":")}`])));
    sandbox.settle();
    expectRefusal(
      await container.create(),
      IS_RUNTS ? "/mounts/7: mount overlay on /mnt: mount: no such file or directory" : undefined,
    );
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "create, overlay with more options than mount(2) takes: error that names them, nothing left",
  CLAUSE,
  async (sandbox) => {
    const lower = layers(sandbox, 50, 100);
    const container = sandbox.container(add(overlay([`lowerdir=${lower.join(":")}`])));
    sandbox.settle();
    expectRefusal(
      await container.create(),
      IS_RUNTS ? /\/mounts\/7\/options: .*mount\(2\) takes at most 4095/ : undefined,
    );
    expect(await sandbox.traces()).toEqual([]);
  },
);

if (IS_RUNTS) {
  spec(
    "mounts add, overlay with a long lowerdir: mounted; with a missing layer, error and no mount",
    CLAUSE,
    async (sandbox) => {
      // The layers are looked up in the container.
      const lower = layers(sandbox, 4, 100);
      const container = await running(sandbox, (config) => {
        config.root.readonly = false;
      });
      for (const path of lower) execFileSync("cp", ["-r", "--parents", path, container.rootfs]);
      const mounts = async (list: Mount[]) => {
        writeFileSync(sandbox.path("list.json"), JSON.stringify(list));
        return await sandbox.invoke(["mounts", "add", container.id, sandbox.path("list.json")]);
      };
      expect((await mounts([overlay([`lowerdir=${lower.join(":")}`], "/good")])).code).toBe(0);
      expect((await container.exec(["ls", "/good"])).stdout).toBe("of-0\nof-1\nof-2\nof-3\n");
      const before = (await container.exec(["cat", "/proc/self/mountinfo"])).stdout;
      const bad = overlay([`lowerdir=${[...lower, "/no/such/layer"].join(":")}`]);
      expectRefusal(await mounts([bad]), "/0: mount overlay on /mnt: mount: no such file or directory");
      expect((await container.exec(["cat", "/proc/self/mountinfo"])).stdout).toBe(before);
    },
  );

  spec(
    "explain, overlay with a long lowerdir: shows the call of mount(2) with its data",
    "explain tells what create does",
    async (sandbox) => {
      const lower = layers(sandbox, 4, 100);
      const container = sandbox.container(add(overlay([`lowerdir=${lower.join(":")}`])));
      const text = JSON.stringify(await explained(sandbox, container));
      expect(text).toContain(lower.join(":"));
      expect(text).toContain('"/mounts/7"');
    },
    { both: "has no such command" },
  );
}

// Several options in one string

for (const [options, expected] of [
  [["size=64k,mode=711"], "711 size=64k"],
  [["size=64k,mode=711", "nosuid", "nr_inodes=9,"], "711 nosuid size=64k nr_inodes=9"],
  [["size=64k,ro"], "755 ro size=64k"],
] as const) {
  spec(`tmpfs with ${JSON.stringify(options)}: each option applies`, CLAUSE, async (sandbox) => {
    const container = sandbox.shell(
      "stat -c %a /mnt; grep ' /mnt ' /proc/self/mounts",
      add({ destination: "/mnt", type: "tmpfs", source: "tmpfs", options: [...options] }),
    );
    mkdirSync(`${container.rootfs}/mnt`, { recursive: true, mode: 0o755 });
    const [mode = "", line = ""] = (await container.output()).trim().split("\n");
    const words = [mode, ...(line.split(" ")[3]?.split(",") ?? [])];
    expect(words).toEqual(expect.arrayContaining(expected.split(" ")));
  });
}

spec("overlay with all its options in one string: each option applies", CLAUSE, async (sandbox) => {
  const { upper, work } = writable(sandbox);
  const [lower = ""] = layers(sandbox, 1, 60);
  const container = sandbox.shell(
    LIST,
    add(overlay([`lowerdir=${lower},upperdir=${upper},workdir=${work}`])),
  );
  expect(await container.output()).toBe("of-0\nrw,relatime\n");
  expect(readFileSync(`${upper}/made`, "utf8")).toBe("new\n");
});

spec(
  "overlay with escaped commas and colons in its paths: taken as parts of the paths",
  "overlay of Linux 6.5 and later",
  async (sandbox) => {
    const folders = ["a,b", "c:d", "e"].map((name) => sandbox.path(name));
    for (const [index, folder] of folders.entries()) {
      mkdirSync(folder);
      writeFileSync(`${folder}/of-${index}`, "");
    }
    const lower = folders.map((folder) => folder.replaceAll(/[,:]/g, "\\$&")).join(":");
    const container = sandbox.shell("ls /mnt", add(overlay([`lowerdir=${lower},index=off`])));
    expect(await container.output()).toBe("of-0\nof-1\nof-2\n");
  },
);

spec(
  "create, tmpfs with a known and an unknown option in one string: error, nothing left",
  CLAUSE,
  async (sandbox) => {
    const mount = {
      destination: "/mnt",
      type: "tmpfs",
      source: "tmpfs",
      options: ["size=64k,nosuchoption=1"],
    };
    const container = sandbox.container(add(mount));
    expectRefusal(await container.create(), IS_RUNTS ? /\/mounts\/7: .*nosuchoption=1/ : undefined);
    expect(await sandbox.traces()).toEqual([]);
  },
);

// Options of the host's cgroup mount

for (const options of [["nsdelegate"], ["nsdelegate,memory_recursiveprot", "memory_localevents"]]) {
  spec(
    `cgroup mount with ${JSON.stringify(options)}: mounted, and a warning`,
    "configs copy them from the host's mount",
    async (sandbox) => {
      const log = sandbox.path("log");
      const container = sandbox.shell("cat /sys/fs/cgroup/cgroup.procs", (config) => {
        config.mounts = config.mounts.map((mount) =>
          mount.destination === "/sys/fs/cgroup"
            ? { ...mount, options: [...(mount.options ?? []), ...options] }
            : mount,
        );
      });
      expect(await container.output({ globals: ["--log", log] })).toMatch(/^1\n/);
      if (IS_RUNTS)
        expect(readFileSync(log, "utf8")).toMatch(
          /level=warning.*\/mounts\/\d+\/options: .*nsdelegate.*the whole cgroup hierarchy/,
        );
    },
  );
}

if (IS_RUNTS)
  spec(
    "create, cgroup mount with an option that cgroup2 does not have: error that names it, nothing left",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.mounts = config.mounts.map((mount) =>
          mount.destination === "/sys/fs/cgroup"
            ? { ...mount, options: ["nsdelegate", "nosuchoption"] }
            : mount,
        );
      });
      expectRefusal(await container.create(), /takes no file system options: nosuchoption/);
      expect(await sandbox.traces()).toEqual([]);
    },
  );
