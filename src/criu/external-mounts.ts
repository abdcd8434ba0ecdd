import type { MountInfo } from "../../bindings/linux/mount-info.ts";
import type { MountRequest } from "../plan/mounts/requests.ts";

/**
 * Mounts that are none of the container's own: criu neither saves what they show nor mounts them by itself. At a dump each gets a
 * name, which is its path in the container, `mnt[PATH]:NAME`; at a restore what there is for the name, `mnt[NAME]:SOURCE`. Names
 * and sources are those of runc, so that the images are the same. criu(8), --external
 */

const HOST_NULL = "/dev/null";

export interface ContainerMounts {
  readonly requests: readonly MountRequest[];
  /** Nodes of /dev, which in a user namespace are mounts of the host's. */
  readonly devices: readonly string[];
  readonly maskedPaths: readonly string[];
}

/** What to tell criu at a dump of a container that has these mounts now. */
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
  // A masked file is covered by the host's /dev/null, whatever kind of file system the host's /dev is.
  if (root === "/null" && !devices.includes(point)) return HOST_NULL;
  if (devices.includes(point)) return point;
  return coveringRequest(requests, point)?.options.recursiveBind === true ? point : undefined;
}

/** What the config has mounted at the nearest directory above. */
function coveringRequest(requests: readonly MountRequest[], point: string): MountRequest | undefined {
  let nearest: MountRequest | undefined;
  for (const request of requests) {
    if (request.options.remount || !point.startsWith(`${request.destination}/`)) continue;
    if (nearest === undefined || request.destination.length >= nearest.destination.length) nearest = request;
  }
  return nearest;
}

/** What a restore needs to know of the host. */
export interface RestoreHost {
  readonly mounts: readonly MountInfo[];
  /** Follows links, as criu does not. */
  readonly realPath: (request: MountRequest) => string;
}

/** Where the mounts of a container come from on this host, for a restore. Names that the images don't have are no error. */
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
