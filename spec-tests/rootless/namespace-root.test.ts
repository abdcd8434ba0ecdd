import { chownSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Config, type Mapping, setNamespace, writableCgroup } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import {
  becomeUser,
  delegatedCgroup,
  OWN,
  RANGE,
  rootlessConfig,
  SUBIDS,
  USER,
  type UserOptions,
} from "../harness/host/user.ts";
import { giveRootfsTo } from "../harness/rootfs.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const ROOT_OWNS_CGROUP = "the user of the container's root owns the cgroup, whatever process.user is";

/** Callers who are root of a user namespace, as engines without privileges are. */
const CLAUSE = "engines: podman unshare, rootlesskit";

/** `further`: mappings in addition to the user's id and range. */
function becomeNamespaceRoot(sandbox: Sandbox, options: UserOptions = {}, further: Mapping[] = []): void {
  becomeUser(sandbox, options);
  const map = (option: string): string[] =>
    [OWN, RANGE, ...further].flatMap(({ containerID, hostID, size }) => [
      option,
      `${containerID}:${hostID}:${size}`,
    ]);
  const maps = [...map("--map-users"), ...map("--map-groups")];
  sandbox.wrapper = [
    ...sandbox.wrapper,
    "unshare",
    "--user",
    "--mount",
    ...maps,
    "--setuid=0",
    "--setgid=0",
    "--",
  ];
}

/** Each command has a new user namespace, so only the host's root can look into the container from now on. */
function becomeHostRoot(sandbox: Sandbox): void {
  sandbox.wrapper = [];
  chownSync(sandbox.root, 0, 0); // root refuses a state root of others
}

/** Becomes root of a user namespace, with a delegated cgroup. With `wrong`, the namespace maps that id, too, to another user of the host. */
function namespaceRootWithCgroup(sandbox: Sandbox, wrong?: number): string {
  const delegated = delegatedCgroup(sandbox, "user");
  const cgroup = delegatedCgroup(sandbox, "caller", delegated);
  const further = wrong === undefined ? [] : [{ containerID: wrong, hostID: SUBIDS + 2000, size: 10 }];
  becomeNamespaceRoot(sandbox, { cgroup }, further);
  return delegated;
}

function withoutUserNamespace(config: Config): void {
  rootlessConfig(config);
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "user");
  delete config.linux.uidMappings;
  delete config.linux.gidMappings;
}

/** Creates and starts by one command, so in one user namespace. */
async function runDetached(container: Container): Promise<void> {
  expect(await container.run({ flags: ["--detach"], stdout: "/dev/null" })).toMatchObject({ code: 0 });
}

const DELEGATED = ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

function owners(directory: string): number[] {
  return DELEGATED.map((file) => statSync(join(directory, file)).uid);
}

for (const [what, wrong] of [
  ["", undefined],
  [", also where the caller's namespace maps its host id to another user", RANGE.hostID + 4],
] as const) {
  spec(
    `run by root of a user namespace, without a new one, process.user 5: that user owns the cgroup${what}`,
    "config-linux.md, Cgroup ownership: the host uid that process.user.uid maps to",
    async (sandbox) => {
      const delegated = namespaceRootWithCgroup(sandbox, wrong);
      const container = sandbox.shell("exec sleep 1000", (config) => {
        withoutUserNamespace(config);
        writableCgroup(config);
        config.process.user = { uid: 5, gid: 5 };
      });
      giveRootfsTo(container.rootfs, { uid: USER, gid: USER });
      await runDetached(container);
      becomeHostRoot(sandbox);
      const owner = RANGE.hostID + 5 - RANGE.containerID;
      expect(owners(join(delegated, container.id))).toEqual(DELEGATED.map(() => owner));
    },
    { crun: ROOT_OWNS_CGROUP, runc: "the cgroupfs driver never changes the owner of a cgroup" },
  );
}

spec(
  "run by root of a user namespace, with a new one, process.user 5: that user owns the cgroup",
  "config-linux.md, Cgroup ownership: the host uid that process.user.uid maps to",
  async (sandbox) => {
    const delegated = namespaceRootWithCgroup(sandbox);
    const container = sandbox.shell("exec sleep 1000", (config) => {
      rootlessConfig(config, [{ containerID: 0, hostID: 11, size: 100 }]);
      writableCgroup(config);
      config.process.user = { uid: 5, gid: 5 };
    });
    giveRootfsTo(container.rootfs, { uid: SUBIDS + 10, gid: SUBIDS + 10 });
    await runDetached(container);
    becomeHostRoot(sandbox);
    const owner = RANGE.hostID + 11 + 5 - RANGE.containerID;
    expect(owners(join(delegated, container.id))).toEqual(DELEGATED.map(() => owner));
  },
  { crun: ROOT_OWNS_CGROUP, runc: "the cgroupfs driver never changes the owner of a cgroup" },
);

if (IS_RUNTS) {
  spec(
    "create by root of a user namespace, a cgroup that is not delegated: error that names the host's ids",
    "promise: an error about what the host denies says what to change there",
    async (sandbox) => {
      becomeNamespaceRoot(sandbox);
      const container = sandbox.shell("true", (config) => {
        withoutUserNamespace(config);
        config.linux.cgroupsPath = `/${sandbox.tag}-own`;
      });
      const { code, stderr } = await container.create();
      expect(code).toBe(1);
      expect(stderr).toContain(
        "/sys/fs/cgroup belongs to a user outside of the caller's user namespace and is not delegated to user 1500: ",
      );
      expect(stderr).toMatch(/; chown 1500 |enable-linger 1500|systemd-run --user/);
    },
  );

  spec(
    "create by root of a user namespace, process.user not mapped in it: error that says so",
    "promise: an error about what the host denies says what to change",
    async (sandbox) => {
      becomeNamespaceRoot(sandbox);
      const container = sandbox.shell("true", (config) => {
        withoutUserNamespace(config);
        config.process.user = { uid: 5000, gid: 6 };
      });
      giveRootfsTo(container.rootfs, { uid: USER, gid: USER });
      const { code, stderr } = await container.create();
      expect(code).toBe(1);
      expect(stderr).toContain("/process/user/uid");
      expect(stderr).toContain("it is not mapped in the caller's user namespace, which the container shares");
    },
  );
}

spec(
  "run by root of a user namespace, with a joined one: its mappings are compared as the caller sees them",
  CLAUSE,
  async (sandbox) => {
    becomeNamespaceRoot(sandbox);
    const path = join(sandbox.temporary, "user-namespace");
    const container = sandbox.shell("id -u; cat /proc/self/uid_map", (config) => {
      rootlessConfig(config, [{ containerID: 0, hostID: 11, size: 100 }]);
      setNamespace(config, "user", { type: "user", path });
    });
    giveRootfsTo(container.rootfs, { uid: SUBIDS + 10, gid: SUBIDS + 10 });
    // The holder of the namespace is a child of the namespace's root, as an engine's infra container.
    const maps = ["--map-users", "0:11:100", "--map-groups", "0:11:100"].join(" ");
    const script = [
      `unshare --user ${maps} --setuid=0 --setgid=0 sleep 1000 & holder=$!`,
      "until [ $(readlink /proc/$holder/ns/user) != $(readlink /proc/self/ns/user) ] && grep -q 100 /proc/$holder/uid_map; do sleep 0.02; done",
      `ln -s /proc/$holder/ns/user ${path}`,
      `"$@"; code=$?; rm ${path}; kill $holder; exit $code`,
    ].join("\n");
    sandbox.wrapper = [...sandbox.wrapper, "sh", "-c", script, "sh"];
    expect((await container.output()).trim().split(/\s+/)).toEqual(["0", "0", "11", "100"]);
  },
);

spec(
  "run by root of a user namespace, without a new one: devices, users and groups work",
  CLAUSE,
  async (sandbox) => {
    becomeNamespaceRoot(sandbox);
    const script = "echo x > /dev/null && head -c 2 /dev/zero | wc -c; id -u; id -G; ls /sys | grep kernel";
    const container = sandbox.shell(script, (config) => {
      withoutUserNamespace(config);
      config.process.user = { uid: 5, gid: 6, additionalGids: [7] };
    });
    giveRootfsTo(container.rootfs, { uid: USER, gid: USER });
    expect((await container.output()).trim().split(/\s+/)).toEqual(["2", "5", "6", "7", "kernel"]);
  },
);

spec(
  "create by root of a user namespace, with a new one: exec by the host's root puts the process into the new one",
  CLAUSE,
  async (sandbox) => {
    becomeNamespaceRoot(sandbox);
    const container = sandbox.shell("exec sleep 1000", (config) => {
      rootlessConfig(config, [{ containerID: 0, hostID: 1, size: 100 }]);
    });
    giveRootfsTo(container.rootfs, { uid: SUBIDS, gid: SUBIDS });
    await container.started();
    // In its own map, a process sees ids of the parent namespace.
    becomeHostRoot(sandbox);
    const { stdout } = await container.exec(["sh", "-c", "id -u; cat /proc/self/uid_map"]);
    expect(stdout.trim().split(/\s+/)).toEqual(["0", "0", "1", "100"]);
  },
  { both: "the commands of one container must be in one user namespace" },
);
