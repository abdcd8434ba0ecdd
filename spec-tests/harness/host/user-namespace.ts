import type { Config } from "../config.ts";
import type { Container } from "../container.ts";
import { giveRootfsTo } from "../rootfs.ts";
import type { Sandbox } from "../sandbox.ts";

/** First id on the host of the containers in user namespaces. */
export const BASE = 100_000;

/** A user namespace of the container's own, with 65,536 ids. */
export function mapIds(config: Config): void {
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = [{ containerID: 0, hostID: BASE, size: 65_536 }];
  config.linux.gidMappings = [{ containerID: 0, hostID: BASE, size: 65_536 }];
}

/** A user namespace of the container's own that has no root: only user 7 and group 8, as which its program runs. */
export function mapNoRoot(config: Config): void {
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = [{ containerID: 7, hostID: 7, size: 1 }];
  config.linux.gidMappings = [{ containerID: 8, hostID: 8, size: 1 }];
  config.process.user = { uid: 7, gid: 8 };
  // The group of its terminals is not mapped.
  config.mounts = config.mounts.filter(({ type }) => type !== "devpts");
}

/** Gives the rootfs to the root of such a namespace. */
export function giveToMappedRoot(container: Container): void {
  giveRootfsTo(container.rootfs, { uid: BASE, gid: BASE });
}

/** A container in its own user namespace, whose program is a line of shell. */
export function mappedShell(
  sandbox: Sandbox,
  script: string,
  mutate: (config: Config) => void = () => undefined,
): Container {
  const container = sandbox.shell(script, (config) => {
    mapIds(config);
    mutate(config);
  });
  giveToMappedRoot(container);
  return container;
}
