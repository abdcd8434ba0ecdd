import { lstatSync, readlinkSync, realpathSync, type Stats } from "node:fs";
import { absolutePath } from "../../bindings/linux/paths.ts";
import { cleanPath, components } from "../plan/rootfs-paths.ts";
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
  /** In a file system that the kernel fills, or behind something that this user may not look at. */
  | { readonly is: "unknown"; readonly path: string; readonly in: string };

/** A place in the container and what it is on the host. */
interface Place {
  readonly container: string;
  /** undefined in a file system that is not there yet. */
  readonly host: string | undefined;
  readonly kind: "host" | "empty" | "kernel";
  readonly pointer: string;
}

/** MAXSYMLINKS of the kernel. */
const MAX_LINKS = 40;

interface MountPoint {
  readonly destination: string;
  readonly place: Place;
}

export class ContainerView {
  readonly #root: Place;
  readonly #mounts: readonly MountPoint[];

  /** `rootfs` is absolute. */
  constructor(config: Config, bundle: string, rootfs: string) {
    this.#root = { container: "", host: rootfs, kind: "host", pointer: "/root/path" };
    this.#mounts = (config.mounts ?? []).flatMap((mount, index) => {
      const place = placeOf(mount, index, bundle);
      return place === undefined ? [] : [{ destination: cleanPath(mount.destination), place }];
    });
  }

  /** Follows symbolic links, all inside of the container. */
  look(path: string): Seen {
    let rest = components(path);
    let place = this.#mountAt("/") ?? this.#root;
    let container = "";
    for (let links = 0; rest.length > 0; ) {
      const [name = "", ...others] = rest;
      const here = `${container}/${name}`;
      const next = this.#mountAt(here) ?? below(place, here, name);
      const seen = this.#status(next, here);
      if (seen.is === "there" && seen.status.isSymbolicLink()) {
        links += 1;
        if (links > MAX_LINKS) return { is: "missing", path: here, in: next.pointer };
        const target = readlinkSync(seen.host);
        rest = components([target.startsWith("/") ? "" : container, target, ...others].join("/"));
        container = "";
        place = this.#mountAt("/") ?? this.#root;
        continue;
      }
      if (others.length === 0 || seen.is === "missing" || seen.is === "unknown")
        return { ...seen, path: here };
      if (seen.is === "there" && !seen.status.isDirectory())
        return { is: "missing", path: here, in: next.pointer };
      container = here;
      place = next;
      rest = others;
    }
    return this.#status(place, container === "" ? "/" : container);
  }

  #status(place: Place, path: string): Seen {
    if (place.kind === "kernel") return { is: "unknown", path, in: place.pointer };
    if (place.host !== undefined) {
      try {
        return { is: "there", path, host: place.host, status: lstatSync(place.host) };
      } catch (error) {
        const code = error instanceof Error && "code" in error ? error.code : "";
        if (code === "EACCES") return { is: "unknown", path, in: place.pointer };
      }
    }
    const isMountPoint = this.#mounts.some(
      ({ destination }) => destination === path || destination.startsWith(`${path}/`),
    );
    return isMountPoint ? { is: "made", path } : { is: "missing", path, in: place.pointer };
  }

  /** The last mount at a path is what is seen there. */
  #mountAt(path: string): Place | undefined {
    return this.#mounts.findLast(({ destination }) => destination === path)?.place;
  }
}

function below({ host, kind, pointer }: Place, container: string, name: string): Place {
  return { container, host: host === undefined ? undefined : `${host}/${name}`, kind, pointer };
}

function placeOf(mount: Mount, index: number, bundle: string): Place | undefined {
  const { destination, type = "", source = "", options = [] } = mount;
  const pointer = `/mounts/${index}`;
  const container = cleanPath(destination);
  if (options.includes("remount")) return undefined;
  if (options.includes("bind") || options.includes("rbind")) {
    const path = source.startsWith("/") ? source : absolutePath(`${bundle}/${source}`);
    return { container, host: tryRealpath(path), kind: "host", pointer };
  }
  const isEmpty = type === "tmpfs" && container !== "/dev" && !options.includes("tmpcopyup");
  return { container, host: undefined, kind: isEmpty ? "empty" : "kernel", pointer };
}

function tryRealpath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
