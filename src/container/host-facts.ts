import { type FileStatus, lstatSync, statfsSync, statSync } from "../../bindings/linux/file-status.ts";
import { existsSync, readlinkSync, realpathSync } from "../../bindings/linux/files.ts";
import { mountsOf } from "../../bindings/linux/mount-info.ts";
import { absolutePath, dirname } from "../../bindings/linux/paths.ts";
import { RuntsError } from "../errors.ts";
import { onBehalfOf } from "../init/run-program.ts";
import type { HostFacts } from "../plan/init-plan.ts";
import { cleanPath, components } from "../plan/rootfs-paths.ts";
import type { Config } from "../spec/types.ts";

/** linux/magic.h */
const PROC_SUPER_MAGIC = 0x9fa0;

/** The rootfs as an absolute path without symbolic links. config.md, Root: "A directory MUST exist at the path". */
export function rootfsOf(config: Config, bundle: string): string {
  const path = config.root.path.startsWith("/")
    ? config.root.path
    : absolutePath(`${bundle}/${config.root.path}`);
  const real = onBehalfOf("/root/path", `open the root file system ${path}`, () => realpathSync(path));
  if (!statSync(real).isDirectory()) {
    throw new RuntsError(`/root/path: ${path} is not a directory`, {
      errno: "ENOTDIR",
      path,
      pointer: "/root/path",
    });
  }
  return real;
}

export function hostFacts(
  bundle: string,
  rootfs: string,
  cgroup: string | undefined,
  mountLabel: string,
  inUserNamespace: boolean,
  warn: (message: string) => void,
): HostFacts {
  return {
    rootfs,
    bundle,
    cgroup,
    mountLabel,
    inUserNamespace,
    warn,
    isDirectory: (source, pointer) =>
      onBehalfOf(`${pointer}/source`, `bind ${source}`, () => statSync(source)).isDirectory(),
    isProcfs: (source) => existsSync(source) && statfsSync(source).type === PROC_SUPER_MAGIC,
    followDanglingLinks: (destination) => followDanglingLinks(rootfs, destination),
    hasKcore: existsSync("/proc/kcore"),
    hostPseudoMounts: () => pseudoMounts(rootfs),
    rootfsMountPoint: () => mountPointOf(rootfs),
  };
}

/** Most links that one path may lead through: MAXSYMLINKS of the kernel. */
const MAX_LINKS = 40;

/**
 * openat2(2) can't create what a symbolic link points to. Images have such links (/etc/resolv.conf to a file in /run that only
 * exists once a resolver runs), and engines mount over them. The path is resolved here by reading links, inside the rootfs;
 * the mount itself still goes by descriptor, so that a link changed meanwhile makes it fail at worst.
 */
export function followDanglingLinks(rootfs: string, destination: string): string {
  let rest = components(destination);
  const resolved: string[] = [];
  for (let links = 0; rest.length > 0; ) {
    const [name = "", ...others] = rest;
    const path = `${rootfs}/${[...resolved, name].join("/")}`;
    const found = tryLstat(path);
    // What isn't there, or is a file, has nothing below it that could be a link.
    if (found === undefined || !(found.isDirectory() || found.isSymbolicLink()))
      return `/${[...resolved, ...rest].join("/")}`;
    const target = found.isSymbolicLink() ? readlinkSync(path) : undefined;
    if (target === undefined) {
      resolved.push(name);
      rest = others;
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) return destination;
    const base = target.startsWith("/") ? [] : resolved;
    rest = components(cleanPath([...base, target, ...others].join("/")));
    resolved.length = 0;
  }
  return `/${resolved.join("/")}`;
}

/** undefined for what isn't there, or can't be for the length of its name: the mount itself names the property then. */
function tryLstat(path: string): FileStatus | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENAMETOOLONG") return undefined;
    throw error;
  }
}

/** Mount points of procfs and sysfs outside of the rootfs, the innermost first. */
function pseudoMounts(rootfs: string): string[] {
  const points: string[] = [];
  for (const { point, type } of mountsOf("self")) {
    if ((type === "proc" || type === "sysfs") && !`${point}/`.startsWith(`${rootfs}/`)) points.unshift(point);
  }
  return points;
}

/** The mount point that a directory lies on: the nearest ancestor whose parent is on another device or mount. */
function mountPointOf(path: string): string {
  const points = new Set(mountsOf("self").map(({ point }) => point));
  let point = path;
  while (point !== "/" && !points.has(point)) point = dirname(point);
  return point;
}
