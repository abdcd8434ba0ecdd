import { spawn } from "node:child_process";
import { readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Config, type Mapping, setNamespace } from "../harness/config.ts";
import { BASE, giveToMappedRoot, mapIds, mappedShell } from "../harness/host/user-namespace.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { giveRootfsTo } from "../harness/rootfs.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config-linux.md, User namespace mappings";

/** A process in a new user namespace, with new network, IPC and UTS namespaces that belong to that one. */
async function holder(sandbox: Sandbox): Promise<{ pid: number; path: (type: string) => string }> {
  const flags = ["--user", "--net", "--ipc", "--uts"];
  const child = spawn("unshare", [...flags, "sh", "-c", "echo ready; read _; exec sleep 1000"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  sandbox.atEnd(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  const pid = child.pid ?? 0;
  writeFileSync(`/proc/${pid}/uid_map`, `0 ${BASE} 1000\n1000 ${BASE + 5000} 10\n`);
  writeFileSync(`/proc/${pid}/gid_map`, `0 ${BASE} 1000\n`);
  child.stdin.write("\n");
  return { pid, path: (type) => `/proc/${pid}/ns/${type}` };
}

const UID_MAPPINGS: Mapping[] = [
  { containerID: 0, hostID: BASE, size: 1000 },
  { containerID: 1000, hostID: BASE + 5000, size: 10 },
];
const GID_MAPPINGS: Mapping[] = [{ containerID: 0, hostID: BASE, size: 1000 }];

/** Joins a user namespace. Drops sysfs, which can only be mounted if the user namespace owns the network namespace. */
function joinUser(config: Config, path: string, uids?: Mapping[], gids?: Mapping[]): void {
  config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith("/sys"));
  config.linux.namespaces.push({ type: "user", path });
  if (uids !== undefined) config.linux.uidMappings = uids;
  if (gids !== undefined) config.linux.gidMappings = gids;
}

for (const [situation, uids, gids] of [
  ["without mappings", undefined, undefined],
  ["with its own mappings", UID_MAPPINGS, GID_MAPPINGS],
] as const) {
  spec(
    `create, user namespace with a path, ${situation}: joined`,
    "config-linux.md, Namespaces: path",
    async (sandbox) => {
      const { path } = await holder(sandbox);
      const script = "sleep 1000";
      const container = sandbox.shell(script, (config) =>
        joinUser(config, path("user"), uids && [...uids], gids && [...gids]),
      );
      giveToMappedRoot(container);
      await container.created();
      const { pid } = await container.state();
      expect(readlinkSync(`/proc/${pid}/ns/user`)).toBe(readlinkSync(path("user")));
    },
  );
}

for (const [name, uids, gids] of [
  ["uidMappings", [{ containerID: 0, hostID: BASE, size: 1000 }], GID_MAPPINGS],
  ["uidMappings", [{ containerID: 0, hostID: BASE + 1, size: 1000 }, ...UID_MAPPINGS.slice(1)], GID_MAPPINGS],
  ["gidMappings", UID_MAPPINGS, [{ containerID: 0, hostID: BASE, size: 999 }]],
] as const) {
  spec(
    `create, user namespace with a path, ${name} that differ from its own, ${JSON.stringify(name === "uidMappings" ? uids : gids)}: error, nothing left`,
    "practice of runc",
    async (sandbox) => {
      const { path } = await holder(sandbox);
      sandbox.settle();
      const container = sandbox.container((config) => joinUser(config, path("user"), [...uids], [...gids]));
      giveToMappedRoot(container);
      expectRefusal(await container.create(), IS_RUNTS ? `runts: /linux/${name}: ` : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: "mappings beside a path are not compared" },
  );
}

spec(
  "create, namespaces of a pod, each by its path: all joined, the user namespace included",
  "user_namespaces(7): the order of joining",
  async (sandbox) => {
    const { path } = await holder(sandbox);
    const types = { network: "net", ipc: "ipc", uts: "uts" } as const;
    const container = sandbox.shell("sleep 1000", (config) => {
      delete config.hostname;
      joinUser(config, path("user"));
      for (const [type, file] of Object.entries(types))
        setNamespace(config, type, { type, path: path(file) });
    });
    giveToMappedRoot(container);
    await container.created();
    const { pid } = await container.state();
    for (const file of ["user", ...Object.values(types)])
      expect(readlinkSync(`/proc/${pid}/ns/${file}`)).toBe(readlinkSync(path(file)));
  },
);

spec(
  "run, user namespace, files of other owners: not chowned",
  `${CLAUSE}: SHOULD NOT modify`,
  async (sandbox) => {
    const container = sandbox.shell("stat -c %u:%g /etc/passwd", mapIds);
    const file = join(container.rootfs, "etc/passwd");
    expect(await container.output()).toBe("65534:65534\n");
    expect(statSync(file)).toMatchObject({ uid: 0, gid: 0 });
  },
);

spec(
  "run, user namespace, a privileged caller: setgroups stays allowed",
  "user_namespaces(7)",
  async (sandbox) => {
    const container = mappedShell(sandbox, "cat /proc/self/setgroups");
    expect(await container.output()).toBe("allow\n");
  },
);

const deviations = byCase({
  crun: "after an error of the kernel in the first steps, the cgroup stays",
  runc: {
    reason: "after an error of the kernel in the first steps, the cgroup may stay",
    sometimes: true,
    before: "1.3",
  },
  cases: ["341"],
});

for (const [count, isAllowed] of [
  [340, true],
  [341, false],
] as const) {
  spec(
    `run, user namespace with ${count} mappings: ${isAllowed ? "all written" : "error, nothing left"}`,
    `${CLAUSE}: the kernel's limit is 340`,
    async (sandbox) => {
      const container = sandbox.shell("wc -l < /proc/self/uid_map", (config) => {
        mapIds(config);
        config.linux.uidMappings = Array.from({ length: count }, (_, index) => ({
          containerID: 2 * index,
          // Small numbers, since the kernel accepts less than a page of text.
          hostID: 1000 + index,
          size: 1,
        }));
      });
      giveRootfsTo(container.rootfs, { uid: 1000, gid: BASE });
      if (isAllowed) {
        expect((await container.output()).trim()).toBe(String(count));
        return;
      }
      expectRefusal(await container.create(), IS_RUNTS ? "/linux/uidMappings" : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(count),
  );
}

spec(
  "create, user namespace not listed: the caller's",
  "config-linux.md, Namespaces: MUST inherit",
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000");
    await container.created();
    const { pid } = await container.state();
    for (const type of ["user", "time"])
      expect(readlinkSync(`/proc/${pid}/ns/${type}`)).toBe(readlinkSync(`/proc/self/ns/${type}`));
  },
);
