import { execFileSync } from "node:child_process";
import { chownSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config, Mapping, Mount } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { BASE, giveToMappedRoot, mappedShell } from "../harness/host/user-namespace.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const NO_MAPPINGS = { reason: "mappings of mounts came with 1.2; 1.1 ignores them", before: "1.2" };
const FEW_ID_MAPPINGS =
  "can't clone the source in a user namespace with other mappings; maps only binds, and has none of crun's options";
const CGROUP_MAY_STAY = {
  reason: "leaves the cgroup after a failed mount, unless the killed init has ended by then",
  sometimes: true,
} as const;

const CLAUSE = "config.md, mounts: uidMappings, gidMappings, idmap, ridmap";

function range(hostID: number, containerID = 0, size = 65_536): Mapping[] {
  return [{ containerID, hostID, size }];
}

/** A host folder of user 0 with files of users 0 and 7, and a mount with files of user 7 below it. */
function volume(sandbox: Sandbox): string {
  const folder = sandbox.path("volume");
  mkdirSync(folder);
  execFileSync("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", folder]);
  sandbox.atEnd(() => void execFileSync("umount", ["-R", folder]));
  mkdirSync(`${folder}/sub`);
  execFileSync("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", `${folder}/sub`]);
  for (const name of ["seven", "sub/seven"]) {
    writeFileSync(`${folder}/${name}`, "");
    chownSync(`${folder}/${name}`, 7, 8);
  }
  return folder;
}

function withMount(mount: Partial<Mount> & { source: string }): (config: Config) => void {
  return (config) =>
    void config.mounts.push({ destination: "/mnt", type: "bind", options: ["bind"], ...mount });
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

for (const options of [["bind"], ["bind", "idmap"], ["rbind", "idmap"]]) {
  spec(
    `mount with uidMappings, gidMappings and ${options.join(",")}: ids on disk appear mapped`,
    CLAUSE,
    async (sandbox) => {
      const source = volume(sandbox);
      const mount = { source, options, uidMappings: range(1000), gidMappings: range(2000) };
      const container = sandbox.shell("stat -c %u:%g /mnt/seven; id -u", withMount(mount));
      expect(await container.output()).toBe("1007:2008\n0\n");
    },
    { runc: NO_MAPPINGS },
  );
}

spec(
  "mount with mappings: new files belong to the ids on disk",
  CLAUSE,
  async (sandbox) => {
    const source = volume(sandbox);
    chownSync(source, 7, 8);
    const mount = { source, options: ["bind", "idmap"], uidMappings: range(0, 7), gidMappings: range(0, 8) };
    await sandbox.shell("touch /mnt/made", withMount(mount)).output();
    expect(statSync(`${source}/made`)).toMatchObject({ uid: 7, gid: 8 });
  },
  { runc: NO_MAPPINGS },
);

for (const [option, below] of [
  ["idmap", "7:8"],
  ["ridmap", "1007:2008"],
] as const) {
  spec(
    `rbind with ${option}: the mount below shows ${below}`,
    CLAUSE,
    async (sandbox) => {
      const options = ["rbind", option];
      const mount = { source: volume(sandbox), options, uidMappings: range(1000), gidMappings: range(2000) };
      const container = sandbox.shell("stat -c %u:%g /mnt/seven /mnt/sub/seven", withMount(mount));
      expect(await container.output()).toBe(`1007:2008\n${below}\n`);
    },
    { runc: NO_MAPPINGS },
  );
}

for (const [option, below] of [
  ["idmap", "65534:65534"],
  ["ridmap", "7:8"],
] as const) {
  spec(
    `user namespace and rbind with ${option} without mappings: the container's mappings apply`,
    CLAUSE,
    async (sandbox) => {
      const mount = withMount({ source: volume(sandbox), options: ["rbind", option] });
      const container = inUserNamespace(
        sandbox,
        "stat -c %u:%g /mnt/seven /mnt/sub/seven; touch /mnt/made",
        mount,
      );
      expect(await container.output()).toBe(`7:8\n${below}\n`);
      expect(statSync(sandbox.path("volume/made"))).toMatchObject({ uid: 0, gid: 0 });
    },
    { runc: NO_MAPPINGS },
  );
}

spec(
  "user namespace and a mount with mappings of its own: the mount's mappings apply",
  CLAUSE,
  async (sandbox) => {
    const mount = {
      source: volume(sandbox),
      options: ["bind", "idmap"],
      uidMappings: range(BASE + 10),
      gidMappings: range(BASE + 20),
    };
    const container = inUserNamespace(sandbox, "stat -c %u:%g /mnt/seven", withMount(mount));
    expect(await container.output()).toBe("17:28\n");
  },
  { runc: FEW_ID_MAPPINGS },
);

spec(
  "user namespace and several mounts with the same mappings: all are mapped",
  CLAUSE,
  async (sandbox) => {
    const source = volume(sandbox);
    const mappings = { uidMappings: range(BASE), gidMappings: range(BASE) };
    const container = inUserNamespace(sandbox, "stat -c %u:%g /a/seven /b/seven /c/seven", (config) => {
      for (const destination of ["/a", "/b"])
        config.mounts.push({ destination, source, options: ["bind", "idmap"], ...mappings });
      config.mounts.push({ destination: "/c", source, options: ["bind", "idmap"] });
    });
    expect(await container.output()).toBe("7:8\n7:8\n7:8\n");
  },
  { runc: FEW_ID_MAPPINGS },
);

spec(
  "joined user namespace and idmap without mappings: the namespace's mappings apply",
  CLAUSE,
  async (sandbox) => {
    const owner = inUserNamespace(sandbox, "sleep 1000");
    await owner.started();
    const { pid } = await owner.state();
    const container = sandbox.shell("stat -c %u:%g /mnt/seven", (config) => {
      config.linux.namespaces.push({ type: "user", path: `/proc/${pid}/ns/user` });
      config.root.readonly = false;
      withMount({ source: sandbox.path("volume"), options: ["bind", "idmap"] })(config);
    });
    volume(sandbox);
    giveToMappedRoot(container);
    expect(await container.output()).toBe("7:8\n");
  },
  { runc: FEW_ID_MAPPINGS },
);

spec(
  "id-mapped bind with rro, nosuid and rshared: the other options apply too",
  CLAUSE,
  async (sandbox) => {
    const mount = withMount({
      source: volume(sandbox),
      options: ["rbind", "rro", "nosuid", "rshared", "idmap"],
    });
    const container = inUserNamespace(
      sandbox,
      "grep ' /mnt' /proc/self/mountinfo; touch /mnt/sub/x || echo ro",
      mount,
    );
    const [top = "", sub = "", ...rest] = (await container.output()).split("\n");
    expect(top).toMatch(/ \/mnt ro,nosuid,relatime,idmapped shared:\d+ - tmpfs /);
    expect(sub).toMatch(/ \/mnt\/sub ro,relatime shared:/);
    expect(rest.join("")).toContain("ro");
  },
  {
    crun: "copies bind sources as private mounts, and does not apply each of several propagations",
    runc: NO_MAPPINGS,
  },
);

spec(
  "id-mapped bind of a shared mount: mounts of the container don't reach the host",
  CLAUSE,
  async (sandbox) => {
    const source = volume(sandbox);
    execFileSync("mount", ["--make-rshared", source]);
    const mount = { source, options: ["rbind", "idmap"], uidMappings: range(1000), gidMappings: range(1000) };
    const container = sandbox.shell("cat /proc/self/mountinfo", (config) => {
      withMount(mount)(config);
      config.mounts.push({ destination: "/mnt/sub", type: "tmpfs", source: "leaked" });
    });
    await container.created();
    expect(execFileSync("cat", ["/proc/self/mountinfo"], { encoding: "utf8" })).not.toContain("leaked");
  },
  { crun: "an id-mapped copy stays a peer of the host's mount" },
);

spec(
  "new tmpfs with mappings: files on it belong to the mapped ids",
  CLAUSE,
  async (sandbox) => {
    const mount = { destination: "/mnt", type: "tmpfs", source: "tmpfs", options: ["idmap", "mode=755"] };
    const container = sandbox.shell("stat -c %u:%g /mnt", (config) => {
      config.mounts.push({ ...mount, uidMappings: range(1000), gidMappings: range(2000) });
    });
    expect(await container.output()).toBe("1000:2000\n");
  },
  { runc: FEW_ID_MAPPINGS },
);

spec(
  "idmap=uids=…;gids=…: crun's form of mappings",
  "crun(1), idmap mount options",
  async (sandbox) => {
    const source = volume(sandbox);
    const options = ["bind", "idmap=uids=0-1000-5#7-77-1;gids=0-2000-100"];
    const container = sandbox.shell("stat -c %u:%g /mnt /mnt/seven", withMount({ source, options }));
    expect(await container.output()).toBe("1000:2000\n77:2008\n");
  },
  { runc: FEW_ID_MAPPINGS },
);

spec(
  "idmap=uids=@…: relative to the container's mappings",
  "crun(1), idmap mount options",
  async (sandbox) => {
    const options = ["bind", "idmap=uids=@7-40-1;gids=@8-50-1"];
    const mount = withMount({ source: volume(sandbox), options });
    expect(await inUserNamespace(sandbox, "stat -c %u:%g /mnt/seven", mount).output()).toBe("40:50\n");
  },
  { runc: FEW_ID_MAPPINGS },
);

const REFUSED: readonly [title: string, mount: Partial<Mount>, words: RegExp][] = [
  ["idmap without mappings and user namespace", { options: ["bind", "idmap"] }, /\/mounts\/7\/options\/1/],
  ["ridmap without mappings and user namespace", { options: ["rbind", "ridmap"] }, /\/mounts\/7\/options\/1/],
  ["uidMappings alone", { uidMappings: range(0) }, /\/mounts\/7\/uidMappings.*gidMappings/],
  ["gidMappings alone", { gidMappings: range(0) }, /\/mounts\/7\/gidMappings.*uidMappings/],
  [
    "mappings of size 0",
    { uidMappings: range(0, 0, 0), gidMappings: range(0) },
    /\/mounts\/7\/uidMappings\/0\/size/,
  ],
  ["a malformed idmap=", { options: ["bind", "idmap=uids=1-2"] }, /\/mounts\/7\/options\/1/],
  [
    "mappings and a remount",
    { options: ["remount", "bind", "idmap"], uidMappings: range(0), gidMappings: range(0) },
    /remount/,
  ],
  [
    "mappings that overlap",
    { uidMappings: [...range(0), ...range(1)], gidMappings: range(0) },
    /\/mounts\/7\/uidMappings: write the mappings/,
  ],
];

const deviations = byCase(
  {
    crun: CGROUP_MAY_STAY,
    runc: NO_MAPPINGS,
    cases: [
      "idmap without mappings and user namespace",
      "ridmap without mappings and user namespace",
      "uidMappings alone",
      "gidMappings alone",
      "mappings of size 0",
      "a malformed idmap=",
      "mappings that overlap",
    ],
  },
  { crun: "a remount ignores mappings", cases: ["mappings and a remount"] },
);

for (const [title, mount, words] of REFUSED) {
  spec(
    `mount with ${title}: error, nothing left`,
    `${CLAUSE}: MUST error`,
    async (sandbox) => {
      const container = sandbox.container(withMount({ source: volume(sandbox), ...mount }));
      sandbox.settle();
      expectRefusal(await container.create(), IS_RUNTS ? words : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(title),
  );
}

spec(
  "id-mapped bind of a file system that does not support it: error that names it and its mount point, nothing left",
  "opencontainers/runc#4157, containers/crun#1380",
  async (sandbox) => {
    const folder = volume(sandbox);
    execFileSync("mount", ["-t", "sysfs", "sysfs", `${folder}/sub`]);
    sandbox.settle();
    const options = ["rbind", "ridmap"];
    const mount = { source: folder, options, uidMappings: range(0), gidMappings: range(0) };
    const words = new RegExp(`/mounts/7/uidMappings: .*: sysfs at ${folder}/sub: .* id-mapped`);
    const container = sandbox.container(withMount(mount));
    expectRefusal(await container.create(), IS_RUNTS ? words : undefined);
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: CGROUP_MAY_STAY, runc: NO_MAPPINGS },
);

spec(
  "features: id-mapped mounts and their options",
  "features-linux.md, mountExtensions",
  async (sandbox) => {
    const { stdout } = await sandbox.invoke(["features"]);
    const found = JSON.parse(stdout);
    expect(found.linux.mountExtensions.idmap.enabled).toBe(true);
    expect(found.mountOptions).toEqual(expect.arrayContaining(["idmap", "ridmap"]));
  },
  { crun: "features lists neither idmap nor ridmap", runc: FEW_ID_MAPPINGS },
);
