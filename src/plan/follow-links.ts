import { dirname } from "../../bindings/linux/paths.ts";

/** MAXSYMLINKS of the kernel. */
const MAX_LINKS = 40;

/** What is at a path that leads through no link. */
export interface Component {
  readonly isDirectory: boolean;
  /** Target of a symbolic link. */
  readonly link: string | undefined;
}

export interface Destination<T> {
  /** As far as the path leads, without a link in it. */
  readonly path: string;
  readonly found: T;
  /** What is left of it, since it would have to be a directory. */
  readonly rest: readonly string[];
}

/**
 * Follows the symbolic links of an absolute path one component after the other, none of them out of the root: for telling, and for
 * what is not there yet. What is done goes by descriptors (rootfs-paths.ts). undefined for a circle of links. path_resolution(7)
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
