import type { MountInfo } from "../../bindings/linux/mount-info.ts";
import type { MountRequest } from "../plan/mounts/requests.ts";

/**
 * External mounts, in the terms of criu(8), --external: mounts of the host's file systems, which criu neither saves nor mounts by itself. A
 * dump names each one, by its path in the container: `mnt[PATH]:NAME`. A restore says what to mount for the name: `mnt[NAME]:SOURCE`.
 * Names and sources are those of runc, so that images are interchangeable.
 */

const HOST_NULL = "/dev/null";

export interface ContainerMounts {
  readonly requests: readonly MountRequest[];
  /** Device nodes in /dev, which in a user namespace are bind mounts of the host's. */
  readonly devices: readonly string[];
  readonly maskedPaths: readonly string[];
}

/** The external mounts for a dump of a container whose present mounts are `mounts`. */
export function externalAtDump(container: ContainerMounts, mounts: readonly MountInfo[]): string[] {
  const external = new Map<string, string>();
  for (const mount of mounts) {
    const name = externalName(container, mount);
    if (name !== undefined) external.set(mount.point, `mnt[${mount.point}]:${name}`);
  }
  return [...external.values()];
}

function externalName({ requests, devices }: ContainerMounts, mount: MountInfo) {
  const { point, root } = mount;
  const asked = requests
    .filter(({ destination, options }) => destination === point && !options.remount)
    .at(-1);
  if (asked !== undefined) return asked.options.bind ? point : undefined;
  // A masked file is covered by the host's /dev/null, whatever type of file system the host's /dev is.
  if (root === "/null" && !devices.includes(point)) return HOST_NULL;
  if (devices.includes(point)) return point;
  return coveringRequest(requests, point)?.options.recursiveBind === true ? point : undefined;
}

/** The config's mount at the nearest directory above a mount point. */
function coveringRequest(requests: readonly MountRequest[], point: string): MountRequest | undefined {
  let nearest: MountRequest | undefined;
  for (const request of requests) {
    if (request.options.remount || !point.startsWith(`${request.destination}/`)) continue;
    if (nearest === undefined || request.destination.length >= nearest.destination.length) nearest = request;
  }
  return nearest;
}

/** Facts about the host that a restore depends on. */
export interface RestoreHost {
  readonly mounts: readonly MountInfo[];
  /** Resolves symlinks, which criu does not follow. */
  readonly realPath: (request: MountRequest) => string;
}

/** The sources of a container's external mounts on this host, for a restore. Names that the images don't have are ignored by criu. */
export function externalAtRestore(container: ContainerMounts, host: RestoreHost): string[] {
  const external: string[] = [];
  for (const request of container.requests) {
    const { destination, options } = request;
    if (options.remount) continue;
    if (options.bind) {
      const source = host.realPath(request);
      external.push(`mnt[${destination}]:${source}`);
      if (options.recursiveBind) external.push(...mountsBelow(source, destination, host.mounts));
    }
  }
  if (container.maskedPaths.length > 0) external.push(`mnt[${HOST_NULL}]:${HOST_NULL}`);
  for (const path of container.devices) external.push(`mnt[${path}]:${path}`);
  return [...new Set(external)];
}

function mountsBelow(source: string, destination: string, mounts: readonly MountInfo[]): string[] {
  const directory = source === "/" ? "/" : `${source}/`;
  return mounts
    .filter(({ point }) => point !== "/" && point.startsWith(directory))
    .map(({ point }) => `mnt[${destination}/${point.slice(directory.length)}]:${point}`);
}
