import { dirname } from "../../bindings/linux/paths.ts";

/** MAXSYMLINKS of the kernel. */
const MAX_LINKS = 40;

/** The file at a path without symbolic links above it. */
export interface Component {
  readonly isDirectory: boolean;
  /** Target of a symbolic link; undefined for any other file. */
  readonly link: string | undefined;
}

export interface Destination<T> {
  /** The resolved path, without symbolic links, as far as it leads. */
  readonly path: string;
  readonly found: T;
  /** The names that are left if `path` isn't a directory. */
  readonly rest: readonly string[];
}

/**
 * Follows the symbolic links of an absolute path, component by component, and never out of the root; undefined for a loop of links. Use it only
 * for messages and for paths that don't exist yet: operations go by descriptors (rootfs-paths.ts). path_resolution(7)
 */
export function followLinks<T extends Component>(
  path: string,
  look: (path: string) => T,
): Destination<T> | undefined {
  const pending = namesOf(path).reverse();
  let at = "/";
  let found = look(at);
  for (let links = 0; found.isDirectory; ) {
    const name = pending.pop();
    if (name === undefined) break;
    const next = name === ".." ? dirname(at) : `${at === "/" ? "" : at}/${name}`;
    const entry = look(next);
    if (entry.link === undefined) {
      at = next;
      found = entry;
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) return undefined;
    pending.push(...namesOf(entry.link).reverse());
    if (!entry.link.startsWith("/")) continue;
    at = "/";
    found = look(at);
  }
  return { path: at, found, rest: pending.reverse() };
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}
