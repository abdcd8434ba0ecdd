import { chownSync } from "node:fs";
import { expect } from "vitest";
import { giveRootfsTo } from "../harness/rootfs.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";
import { becomeUser, OWN, RANGE, rootlessConfig, SUBIDS, USER } from "../harness/user.ts";

/** The root of a user namespace, who calls for engines without privileges. */
const CLAUSE = "engines: podman unshare, rootlesskit";

function becomeNamespaceRoot(sandbox: Sandbox): void {
  becomeUser(sandbox);
  const map = (option: string): string[] => [
    ...[option, `${OWN.containerID}:${OWN.hostID}:1`],
    ...[option, `${RANGE.containerID}:${RANGE.hostID}:${RANGE.size}`],
  ];
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

spec("root of a user namespace, no further one: devices, users and groups work", CLAUSE, async (sandbox) => {
  becomeNamespaceRoot(sandbox);
  const script = "echo x > /dev/null && head -c 2 /dev/zero | wc -c; id -u; id -G; ls /sys | grep kernel";
  const container = sandbox.shell(script, (config) => {
    rootlessConfig(config);
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "user");
    delete config.linux.uidMappings;
    delete config.linux.gidMappings;
    config.process.user = { uid: 5, gid: 6, additionalGids: [7] };
  });
  giveRootfsTo(container.rootfs, { uid: USER, gid: USER });
  expect((await container.output()).trim().split(/\s+/)).toEqual(["2", "5", "6", "7", "kernel"]);
});

spec("root of a user namespace, a further one: mapped, and in reach of exec", CLAUSE, async (sandbox) => {
  becomeNamespaceRoot(sandbox);
  const container = sandbox.shell("exec sleep 1000", (config) => {
    rootlessConfig(config, [{ containerID: 0, hostID: 1, size: 100 }]);
  });
  giveRootfsTo(container.rootfs, { uid: SUBIDS, gid: SUBIDS });
  await container.started();
  // Each command is in a user namespace of its own, so that only the host's root can look into the container. A map shows the
  // parent's ids.
  sandbox.wrapper = [];
  chownSync(sandbox.root, 0, 0); // root does not believe a state root of others
  const { stdout } = await container.exec(["sh", "-c", "id -u; cat /proc/self/uid_map"]);
  expect(stdout.trim().split(/\s+/)).toEqual(["0", "0", "1", "100"]);
});
