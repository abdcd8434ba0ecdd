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
 * Predicts the files of a container before it is made, from its rootfs and mounts. For explanations and warnings only: whatever acts on
 * the container's files goes by descriptors (src/plan/rootfs-paths.ts).
 */

export type Seen =
  | { readonly is: "there"; readonly path: string; readonly host: string; readonly status: Stats }
  /** A directory that the runtime makes for a mount at or below it. */
  | { readonly is: "made"; readonly path: string }
  /** `in` is the pointer of the mount that the path would be in, or that of the rootfs. */
  | { readonly is: "missing"; readonly path: string; readonly in: string }
  /** In a file system that the kernel or an earlier mount fills, or in a directory that this user may not search. */
  | { readonly is: "unknown"; readonly path: string; readonly in: string };

/** A mount point in the container, and the path on the host of what it shows. */
interface Place {
  readonly destination: string;
  /** undefined for a file system that does not exist yet. */
  readonly host: string | undefined;
  /** Whether the kernel or an earlier mount fills it, so that its content is unknown. */
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

  /** `rootfs` is absolute; undefined if it can't be looked into, so that all of its files are unknown. */
  constructor(config: Config, bundle: string, rootfs: string | undefined) {
    this.#root = { destination: "/", host: rootfs, ofKernel: rootfs === undefined, pointer: "/root/path" };
    this.#mounts = (config.mounts ?? []).flatMap(
      (mount, index) => placeOf(mount, index, config, bundle) ?? [],
    );
  }

  /** Looks up a path in the container. Symbolic links are followed inside of it. */
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

  /** The mount that shows a path: the nearest one at or above it, and of several at one place the last. */
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

/** Whether a source that is a symbolic link is shown as a link and not followed: options of crun. */
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
