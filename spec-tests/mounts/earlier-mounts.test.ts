import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config, Mount } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { findings } from "../harness/helpers/validate.ts";
import { mappedShell } from "../harness/host/user-namespace.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const SOURCES_OPENED_FIRST = {
  reason: "in a user namespace, 1.1 opens the sources before it mounts anything",
  before: "1.2",
};
const LINK_LEADS_TO_HOST =
  "follows a link in an earlier mount to the host; a bind of the folder that holds the rootfs shows the container's mounts";

/** Bind mounts with a source in an earlier mount of the same config: "rootfs/a" has to be what was mounted on /a. */

const CLAUSE = "config.md, mounts: MUST mount entries in the listed order";

const TMPFS: Mount = { destination: "/a", type: "tmpfs", source: "tmpfs" };

function bind(source: string, destination: string, ...options: readonly string[]): Mount {
  return { destination, type: "bind", source, options: options.length > 0 ? [...options] : ["rbind"] };
}

/** A tmpfs on /a, and a file of the host on /a/f. */
function tmpfsWithFile(sandbox: Sandbox): Mount[] {
  writeFileSync(sandbox.path("file"), "the host's file\n");
  return [TMPFS, bind(sandbox.path("file"), "/a/f", "bind")];
}

/** A folder of the host on /a, which the image has, too. */
function volume(sandbox: Sandbox): Mount[] {
  mkdirSync(sandbox.path("volume/sub"), { recursive: true });
  writeFileSync(sandbox.path("volume/v"), "the volume's file\n");
  writeFileSync(sandbox.path("volume/sub/s"), "the volume's folder\n");
  return [bind(sandbox.path("volume"), "/a")];
}

/** Each case has its earlier mounts, the bind mount, the program and its output. */
const CASES: readonly [
  situation: string,
  earlier: (sandbox: Sandbox) => Mount[],
  mount: Mount,
  script: string,
  expected: string,
][] = [
  ["a tmpfs, with rbind", tmpfsWithFile, bind("rootfs/a", "/b"), "cat /b/f", "the host's file\n"],
  ["a tmpfs, with bind", tmpfsWithFile, bind("rootfs/a", "/b", "bind"), "ls /b; cat /b/f", "f\n"],
  ["a file", tmpfsWithFile, bind("rootfs/a/f", "/b"), "cat /b", "the host's file\n"],
  ["a volume", volume, bind("rootfs/a", "/b"), "cat /b/v", "the volume's file\n"],
  ["a folder of a volume", volume, bind("rootfs/a/sub", "/b"), "cat /b/s", "the volume's folder\n"],
  [
    "a volume, by an unnormalized path",
    volume,
    bind("./rootfs//a/.", "/b"),
    "cat /b/v",
    "the volume's file\n",
  ],
  ["a volume, mounted over it", volume, bind("rootfs/a/sub", "/a"), "cat /a/s", "the volume's folder\n"],
  ["procfs", () => [], bind("rootfs/proc/sys/kernel/ostype", "/b"), "cat /b", "Linux\n"],
  [
    "a folder above it, with rbind",
    (sandbox) =>
      tmpfsWithFile(sandbox).map((mount) => ({ ...mount, destination: `/etc${mount.destination}` })),
    bind("rootfs/etc", "/b"),
    "cat /b/a/f",
    "the host's file\n",
  ],
];

for (const inUserNamespace of [false, true]) {
  const where = inUserNamespace ? ", user namespace" : "";
  const deviations = inUserNamespace ? { runc: SOURCES_OPENED_FIRST } : {};
  const shell = (sandbox: Sandbox, script: string, mutate: (config: Config) => void): Container =>
    inUserNamespace ? mappedShell(sandbox, script, mutate) : sandbox.shell(script, mutate);

  for (const [situation, earlier, mount, script, expected] of CASES) {
    const title = `bind from an earlier mount (${situation})${where}: shows what was mounted, not the rootfs`;
    spec(
      title,
      CLAUSE,
      async (sandbox) => {
        const container = shell(sandbox, script, (config) => {
          config.root.readonly = false;
          config.mounts.push(...earlier(sandbox), mount);
        });
        mkdirSync(`${container.rootfs}/a`);
        writeFileSync(`${container.rootfs}/a/v`, "the image's file\n");
        expect(await container.output()).toBe(expected);
      },
      deviations,
    );
  }

  spec(
    `bind of a path that an earlier mount hides${where}: error that names it, nothing left`,
    `${CLAUSE}, MUST generate an error`,
    async (sandbox) => {
      const container = shell(sandbox, "true", (config) => {
        config.mounts.push(TMPFS, bind("rootfs/a/v", "/b"));
      });
      mkdirSync(`${container.rootfs}/a`);
      writeFileSync(`${container.rootfs}/a/v`, "the image's file\n");
      expectRefusal(
        await container.create(),
        inOurWords(`/mounts/8/source: bind ${container.rootfs}/a/v on /b`),
      );
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations,
  );
}

spec(
  "bind of a symbolic link in an earlier mount: resolved in the container, never on the host",
  "safety: the content of a mount is untrusted",
  async (sandbox) => {
    writeFileSync(sandbox.path("secret"), "the host's secret\n");
    mkdirSync(sandbox.path("volume"));
    symlinkSync("/image/file", sandbox.path("volume/inside"));
    symlinkSync(sandbox.path("secret"), sandbox.path("volume/outside"));
    const withLink = (name: string) =>
      sandbox.shell("cat /b", (config) => {
        config.mounts.push(bind(sandbox.path("volume"), "/a"), bind(`rootfs/a/${name}`, "/b"));
      });
    const inside = withLink("inside");
    mkdirSync(`${inside.rootfs}/image`);
    writeFileSync(`${inside.rootfs}/image/file`, "the image's file\n");
    expect(await inside.output()).toBe("the image's file\n");
    expectRefusal(await withLink("outside").run(), inOurWords("/mounts/8/source: bind"));
  },
  { both: LINK_LEADS_TO_HOST },
);

spec(
  "bind of a symbolic link of the image to an earlier mount: shows what was mounted",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("cat /b/f", (config) => {
      config.mounts.push(...tmpfsWithFile(sandbox), bind("rootfs/var/link", "/b"));
    });
    symlinkSync("../a", `${container.rootfs}/var/link`);
    expect(await container.output()).toBe("the host's file\n");
  },
);

spec(
  "bind from an earlier mount, root.path a symbolic link: shows what was mounted",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("cat /b/f", (config) => {
      config.root.path = "link";
      config.mounts.push(...tmpfsWithFile(sandbox), bind("link/a", "/b"));
    });
    symlinkSync("rootfs", `${container.bundle}/link`);
    expect(await container.output()).toBe("the host's file\n");
  },
  { runc: "root.path must not be a symbolic link" },
);

spec(
  "bind of a folder that holds the rootfs: shows none of the container's mounts",
  "practice: with the container's mounts the copy would contain itself",
  async (sandbox) => {
    const container = sandbox.shell("grep -c ' /b/' /proc/self/mountinfo", (config) => {
      config.mounts.push(TMPFS, bind(".", "/b"));
    });
    expect((await container.run()).stdout).toBe("0\n");
  },
  { both: LINK_LEADS_TO_HOST },
);

const MAPPED = {
  uidMappings: [{ containerID: 0, hostID: 1000, size: 10 }],
  gidMappings: [{ containerID: 0, hostID: 1000, size: 10 }],
};

spec(
  "id-mapped bind from an earlier mount: shows what was mounted, with mapped ids",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("cat /b/v; stat -c %u:%g /b/v", (config) => {
      config.mounts.push(...volume(sandbox), { ...bind("rootfs/a", "/b", "bind"), ...MAPPED });
    });
    expect(await container.output()).toBe("the volume's file\n1000:1000\n");
  },
  {
    crun: "opens id-mapped sources before it mounts anything",
    runc: { reason: "mappings of mounts came with 1.2", before: "1.2" },
  },
);

if (IS_RUNTS) {
  spec(
    "id-mapped bind from an earlier mount, user namespace: refused by name, nothing left",
    "promise: what is not implemented is refused",
    async (sandbox) => {
      const container = mappedShell(sandbox, "true", (config) => {
        config.mounts.push(...volume(sandbox), { ...bind("rootfs/a", "/b", "bind"), ...MAPPED });
      });
      expectRefusal(await container.create(), "/mounts/8/uidMappings: in a container with a user namespace");
      expect(await sandbox.traces()).toEqual([]);
    },
  );

  spec(
    "validate --host, a source in an earlier mount: not reported as missing",
    "promise",
    async (sandbox) => {
      const container = sandbox.container();
      container.config.mounts.push(TMPFS, bind("rootfs/a/f", "/b"), bind(`${container.rootfs}/a/f`, "/c"));
      container.config.mounts.push(bind("rootfs/none", "/d"));
      container.writeConfig();
      const found = await findings(sandbox, container, "--host");
      expect(found.filter(({ rule }) => rule === "source-missing").map(({ pointer }) => pointer)).toEqual([
        "/mounts/10/source",
      ]);
    },
    { both: "has no such command" },
  );
}
