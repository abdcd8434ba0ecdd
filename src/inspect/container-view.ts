import { lstatSync, readlinkSync, realpathSync, type Stats } from "node:fs";
import { absolutePath } from "../../bindings/linux/paths.ts";
import { followDanglingLinks } from "../container/create/host-facts.ts";
import { errorCode } from "../errors.ts";
import { type Component, followLinks } from "../plan/follow-links.ts";
import { innerSource, rootAsGiven } from "../plan/mounts/inner-sources.ts";
import { cleanPath, isAtOrBelow } from "../plan/rootfs-paths.ts";
import { isBind } from "../spec/bind-mount.ts";
import type { Config, Mount } from "../spec/types.ts";

/**
 * What will be where in a container that has not been made: its rootfs and what will be mounted there. For telling and for
 * warning only; what is done goes by descriptors (rootfs-paths.ts).
 */

export type Seen =
  | { readonly is: "there"; readonly path: string; readonly host: string; readonly status: Stats }
  /** A directory that the runtime makes, for a mount to be at or below it. */
  | { readonly is: "made"; readonly path: string }
  /** `in` is the pointer of the mount that it would be in, or that of the rootfs. */
  | { readonly is: "missing"; readonly path: string; readonly in: string }
  /** In a file system that the kernel or an earlier mount fills, or behind something that this user may not look at. */
  | { readonly is: "unknown"; readonly path: string; readonly in: string };

/** A place in the container and what it is on the host. */
interface Place {
  readonly destination: string;
  /** undefined in a file system that is not there yet. */
  readonly host: string | undefined;
  /** Whether its content is unknown: the kernel fills it, or an earlier mount does. */
  readonly ofKernel: boolean;
  readonly pointer: string;
}

interface ComponentInView extends Component {
  readonly seen: Seen;
  readonly pointer: string;
}

export class ContainerView {
  readonly #root: Place;
  readonly #mounts: readonly Place[];

  /** `rootfs` is absolute; undefined where it can't be looked into, so that nothing is known of it. */
  constructor(config: Config, bundle: string, rootfs: string | undefined) {
    this.#root = { destination: "/", host: rootfs, ofKernel: rootfs === undefined, pointer: "/root/path" };
    this.#mounts = (config.mounts ?? []).flatMap(
      (mount, index) => placeOf(mount, index, config, bundle) ?? [],
    );
  }

  /** Follows symbolic links, all inside of the container. */
  look(path: string): Seen {
    const followed = followLinks(cleanPath(path), (here) => this.#component(here));
    if (followed === undefined) return { is: "missing", path, in: this.#placeAt(path).pointer };
    const { found, rest, path: at } = followed;
    const isFile = found.seen.is === "there" && !found.isDirectory;
    return isFile && rest.length > 0 ? { is: "missing", path: at, in: found.pointer } : found.seen;
  }

  #component(path: string): ComponentInView {
    const place = this.#placeAt(path);
    const seen = this.#status(place, path);
    const status = seen.is === "there" ? seen.status : undefined;
    return {
      seen,
      pointer: place.pointer,
      isDirectory: seen.is === "made" || status?.isDirectory() === true,
      link: seen.is === "there" && seen.status.isSymbolicLink() ? readlinkSync(seen.host) : undefined,
    };
  }

  #status(place: Place, path: string): Seen {
    if (place.ofKernel) return { is: "unknown", path, in: place.pointer };
    if (place.host !== undefined) {
      try {
        return { is: "there", path, host: place.host, status: lstatSync(place.host) };
      } catch (error) {
        if (errorCode(error) === "EACCES") return { is: "unknown", path, in: place.pointer };
      }
    }
    const isMountPoint = this.#mounts.some(({ destination }) => isAtOrBelow(destination, path));
    return isMountPoint ? { is: "made", path } : { is: "missing", path, in: place.pointer };
  }

  /** Of the nearest mount at or above a path: the last one at that place is what is seen there. */
  #placeAt(path: string): Place {
    let nearest = this.#root;
    for (const mount of this.#mounts) {
      const isNearer = mount.destination.length >= nearest.destination.length;
      if (isNearer && isAtOrBelow(path, mount.destination)) nearest = mount;
    }
    const { destination, host } = nearest;
    const below = path.slice(destination.length).replace(/^(?=[^/])/, "/");
    return { ...nearest, host: host === undefined ? undefined : `${host}${below}` };
  }
}

export function bindSource({ source = "" }: Mount, bundle: string): string {
  return source.startsWith("/") ? source : absolutePath(`${bundle}/${source}`);
}

/** Whether a source that is a symbolic link is shown itself, and not what it leads to: options of crun. */
export function showsLink({ options = [] }: Mount): boolean {
  return options.includes("copy-symlink") || options.includes("src-nofollow");
}

/** Whether the source of a bind mount is in an earlier mount of the config, which only the container sees. */
export function isShownByEarlier({ root, mounts = [] }: Config, bundle: string, index: number): boolean {
  const mount = mounts[index];
  if (mount === undefined || !isBind(mount)) return false;
  const earlier = mounts.slice(0, index).filter(({ options = [] }) => !options.includes("remount"));
  const given = rootAsGiven(root.path, bundle);
  const places = earlier.map(({ destination }) => cleanPath(destination));
  const rootfs = { rootfs: tryRealpath(given), given, follow: tryFollow };
  return innerSource(bindSource(mount, bundle), places, rootfs) !== undefined;
}

/** Follows symbolic links as far as the path exists and this user may look. */
function tryFollow(path: string): string {
  try {
    return followDanglingLinks("", path);
  } catch {
    return path;
  }
}

function placeOf(mount: Mount, index: number, config: Config, bundle: string): Place | undefined {
  const { type = "", options = [] } = mount;
  const pointer = `/mounts/${index}`;
  const destination = cleanPath(mount.destination);
  if (options.includes("remount")) return undefined;
  if (isShownByEarlier(config, bundle, index))
    return { destination, host: undefined, ofKernel: true, pointer };
  if (isBind(mount)) {
    const source = bindSource(mount, bundle);
    return { destination, host: showsLink(mount) ? source : tryRealpath(source), ofKernel: false, pointer };
  }
  const isEmpty = type === "tmpfs" && destination !== "/dev" && !options.includes("tmpcopyup");
  return { destination, host: undefined, ofKernel: !isEmpty, pointer };
}

function tryRealpath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
