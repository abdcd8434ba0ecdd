import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { type Mount, setNamespace } from "../harness/config.ts";
import { type Container, succeed } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import { findingsOf, startWatch } from "../harness/helpers/watcher.ts";
import { held } from "../harness/host/held-namespace.ts";
import { mappedShell } from "../harness/host/user-namespace.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

/**
 * A mount has its attributes before others can see it. If it were attached read-write and made `ro` afterwards, a process that waits for
 * it could write in between.
 */

const CLAUSE = "promise: a mount appears in a container with its attributes; mount_setattr(2), move_mount(2)";

/** A shared tmpfs with a file, and with another tmpfs mounted in it. */
function tree(sandbox: Sandbox): string {
  const source = sandbox.path("tree");
  mkdirSync(source);
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", source]);
  sandbox.atEnd(() => void execFileSync("umount", ["-R", source]));
  mkdirSync(`${source}/sub`);
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", `${source}/sub`]);
  execFileSync("mount", ["--make-rshared", source]);
  writeFileSync(`${source}/file`, "");
  return source;
}

interface Addition {
  readonly what: string;
  readonly mount: (source: string) => Mount;
  /** How many mounts appear. */
  readonly count?: number;
}

const QUIET = ["nosuid", "nodev", "noexec"];

function bind(...options: string[]): (source: string) => Mount {
  return (source) => ({ destination: "/mnt", source, options: ["bind", ...options] });
}

const MAPPINGS = [{ containerID: 0, hostID: 1000, size: 65_536 }];

const ADDITIONS: readonly Addition[] = [
  { what: "bind,ro", mount: bind("ro") },
  { what: "bind,nosuid,nodev,noexec,noatime", mount: bind(...QUIET, "noatime") },
  {
    what: "bind,ro of a file",
    mount: (source) => ({ ...bind("ro")(source), source: `${source}/file`, destination: "/tmp/file" }),
  },
  { what: "rbind,ro", mount: bind("rbind", "ro"), count: 2 },
  { what: "rbind,rro,rnosuid", mount: bind("rbind", "rro", "rnosuid"), count: 2 },
  { what: "rbind,rprivate", mount: bind("rbind", "rprivate"), count: 2 },
  { what: "rbind,rslave", mount: bind("rbind", "rslave"), count: 2 },
  { what: "bind,unbindable", mount: bind("unbindable") },
  {
    what: "bind,idmap,ro",
    mount: (source) => ({ ...bind("idmap", "ro")(source), uidMappings: MAPPINGS, gidMappings: MAPPINGS }),
  },
  {
    what: "tmpfs,ro",
    mount: () => ({ destination: "/mnt", type: "tmpfs", source: "tmpfs", options: ["ro", ...QUIET] }),
  },
  {
    what: "tmpfs,rro,private",
    mount: () => ({ destination: "/mnt", type: "tmpfs", source: "tmpfs", options: ["rro", "private"] }),
  },
  {
    what: "tmpfs,tmpcopyup,ro",
    mount: () => ({ destination: "/mnt", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup", "ro"] }),
  },
  {
    what: "sysfs,ro",
    mount: () => ({ destination: "/mnt", type: "sysfs", source: "sysfs", options: ["ro", ...QUIET] }),
  },
  {
    what: "cgroup,ro",
    mount: () => ({ destination: "/mnt", type: "cgroup", source: "cgroup", options: ["ro", ...QUIET] }),
  },
  {
    what: "mqueue,noexec",
    mount: () => ({ destination: "/mnt", type: "mqueue", source: "mqueue", options: QUIET }),
  },
];

/** Adds a list of mounts, and expects that `count` mounts appear, each with its final attributes. */
async function expectAdded(
  sandbox: Sandbox,
  container: Container,
  list: Mount[],
  count: number,
): Promise<void> {
  const file = sandbox.path("mounts.json");
  writeFileSync(file, JSON.stringify(list));
  const { pid } = await container.state();
  const watch = startWatch(sandbox, { mountsOf: pid });
  const { wrapper } = watch;
  succeed("mounts add", await sandbox.invoke(["mounts", "add", container.id, file], { wrapper }));
  const watched = await watch.watched();
  expect(findingsOf(watched)).toEqual([]);
  expect(watched.mounts).toBe(count);
}

if (IS_RUNTS) {
  for (const { what, mount, count = 1 } of ADDITIONS) {
    const title = `mounts add, ${what}: the mount does not change once it has appeared`;
    spec(title, CLAUSE, async (sandbox, context) => {
      skipWithout(context, "gcc");
      const container = await running(sandbox, (config) => {
        config.root.readonly = false;
      });
      await expectAdded(sandbox, container, [mount(tree(sandbox))], count);
    });
  }

  for (const option of ["rprivate", "rslave"]) {
    const title = `mounts add, rbind,${option} in a container whose root is shared: the mount does not change once it has appeared`;
    spec(title, CLAUSE, async (sandbox, context) => {
      skipWithout(context, "gcc");
      const container = await running(sandbox, (config) => {
        config.root.readonly = false;
        config.linux.rootfsPropagation = "rshared";
      });
      await expectAdded(sandbox, container, [bind("rbind", option)(tree(sandbox))], 2);
    });
  }

  spec(
    "mounts add, a container with a user namespace: the mounts do not change once they have appeared",
    CLAUSE,
    async (sandbox, context) => {
      skipWithout(context, "gcc");
      const container = mappedShell(sandbox, "exec sleep 1000", (config) => {
        config.root.readonly = false;
      });
      await container.started();
      const source = tree(sandbox);
      const list = [
        { ...bind("rbind", "rro", "rslave")(source), destination: "/a" },
        { ...bind("idmap", "ro")(source), destination: "/b" },
        { destination: "/c", type: "tmpfs", source: "tmpfs", options: ["ro"] },
      ];
      await expectAdded(sandbox, container, list, 4);
    },
  );

  spec(
    "create in a joined mount namespace: the mounts do not change once they have appeared",
    CLAUSE,
    async (sandbox, context) => {
      skipWithout(context, "gcc");
      const source = tree(sandbox);
      const path = await held(sandbox, "mount");
      const container = sandbox.container((config) => {
        config.process.args = ["sleep", "1000"];
        config.root.readonly = false;
        setNamespace(config, "mount", { type: "mount", path });
        const additions = ADDITIONS.map(({ mount }) => mount(source)).filter(isForJoined);
        config.mounts.push(...additions.map((mount, index) => ({ ...mount, destination: `/mnt/${index}` })));
      });
      const watch = startWatch(sandbox, { mountsOf: Number(path.split("/")[2]) });
      await container.created({ wrapper: watch.wrapper });
      succeed("start", await container.start());
      const watched = await watch.watched();
      expect(findingsOf(watched)).toEqual([]);
      expect(watched.mounts).toBeGreaterThan(container.config.mounts.length);
    },
  );
}

/** An id-mapped mount needs a new mount namespace. A tmpfs has nothing of the host in it, and is filled before it becomes read-only. */
function isForJoined({ type, options = [] }: Mount): boolean {
  return !options.includes("idmap") && type !== "tmpfs";
}
