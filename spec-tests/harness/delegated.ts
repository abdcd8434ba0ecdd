import type { Config } from "./config.ts";
import type { Container } from "./container.ts";
import { giveRootfsTo } from "./rootfs.ts";
import type { Sandbox } from "./sandbox.ts";

/** First id on the host of the containers in user namespaces. */
export const BASE = 100_000;

/** The container may make cgroups below its own, as systemd in a container wants to. */
export function writableCgroup(config: Config): void {
  const mount = config.mounts.find(({ destination }) => destination === "/sys/fs/cgroup");
  if (mount?.options !== undefined) mount.options = mount.options.filter((option) => option !== "ro");
}

/** In a user namespace of its own. */
export function mapIds(config: Config): void {
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = [{ containerID: 0, hostID: BASE, size: 65_536 }];
  config.linux.gidMappings = [{ containerID: 0, hostID: BASE, size: 65_536 }];
}

/** A container in a user namespace of its own. */
export function mappedShell(sandbox: Sandbox, script: string, mutate: (config: Config) => void): Container {
  const container = sandbox.shell(script, (config) => {
    mapIds(config);
    mutate(config);
  });
  giveRootfsTo(container.rootfs, { uid: BASE, gid: BASE });
  return container;
}
