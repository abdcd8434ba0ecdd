import { type FileStatus, lstatSync, statfsSync, statSync } from "../../../bindings/linux/file-status.ts";
import { existsSync, readlinkSync } from "../../../bindings/linux/files.ts";
import { mountsOf } from "../../../bindings/linux/mount-info.ts";
import { dirname } from "../../../bindings/linux/paths.ts";
import { findCgroupMount } from "../../cgroup/path.ts";
import { errorCode, RuntsError, reworded } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { type Component, followLinks } from "../../plan/follow-links.ts";
import type { HostFacts } from "../../plan/init-plan.ts";
import { cleanPath } from "../../plan/rootfs-paths.ts";

/** linux/magic.h */
export const PROC_SUPER_MAGIC = 0x9fa0;

/** Completes what the caller knows of the host with functions that ask the host once the plan needs it. */
export function hostFacts(
  known: Pick<HostFacts, "rootfs" | "bundle" | "cgroup" | "mountLabel" | "inUserNamespace" | "warn">,
): HostFacts {
  const { rootfs } = known;
  return {
    ...known,
    isDirectory: (source, pointer) =>
      onBehalfOf(`${pointer}/source`, `bind ${source}`, () => statSync(source)).isDirectory(),
    linkTarget: (source, pointer) =>
      onBehalfOf(`${pointer}/source`, `bind ${source}`, () =>
        lstatSync(source).isSymbolicLink() ? readlinkSync(source) : undefined,
      ),
    cgroupHierarchy,
    isProcfs: (source) => existsSync(source) && statfsSync(source).type === PROC_SUPER_MAGIC,
    followDanglingLinks: (destination) => followDanglingLinks(rootfs, destination),
    followOnHost: (source, pointer) =>
      onBehalfOf(`${pointer}/source`, `bind ${source}`, () => followDanglingLinks("", source)),
    hasKcore: existsSync("/proc/kcore"),
    hostPseudoMounts: () => pseudoMounts(rootfs),
    rootfsMountPoint: () => mountPointOf(rootfs),
  };
}

/**
 * Returns the path at which the host's whole cgroup hierarchy is mounted. A host that is a container itself may have only a part of it. The
 * root of a mount that was made in another cgroup namespace may be shown as `/..`.
 */
function cgroupHierarchy(pointer: string): string {
  const path = cgroupMountFor(pointer);
  const mount = mountsOf("self").findLast(({ point }) => point === path);
  if (mount?.type !== "cgroup2" || mount.root === "/" || mount.root.startsWith("/..")) return path;
  const message =
    `${pointer}: without a cgroup namespace the container has to see all cgroups, but ${path} shows only those of ${mount.root} ` +
    "here: give the container a cgroup namespace";
  throw new RuntsError(message, { operation: "open_tree", path, pointer });
}

function cgroupMountFor(pointer: string): string {
  try {
    return findCgroupMount();
  } catch (error) {
    throw error instanceof RuntsError ? reworded(error, `${pointer}: ${error.message}`, pointer) : error;
  }
}

/**
 * openat2(2) can't create what a symbolic link points to. Images have such links (/etc/resolv.conf to a file in /run that only
 * exists once a resolver runs), and engines mount over them. The path is resolved here by reading links, inside the rootfs;
 * the mount itself still goes by descriptor, so that a link changed meanwhile makes it fail at worst.
 */
export function followDanglingLinks(rootfs: string, destination: string): string {
  const followed = followLinks(destination, (path) => componentAt(rootfs, path));
  return followed === undefined ? destination : cleanPath([followed.path, ...followed.rest].join("/"));
}

function componentAt(rootfs: string, path: string): Component {
  if (path === "/") return { isDirectory: true, link: undefined };
  const full = `${rootfs}${path}`;
  const found = tryLstat(full);
  return {
    isDirectory: found?.isDirectory() === true,
    link: found?.isSymbolicLink() === true ? readlinkSync(full) : undefined,
  };
}

/** Returns undefined for a file that isn't there, or can't be, since its name is too long: the mount itself names the property then. */
function tryLstat(path: string): FileStatus | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (errorCode(error) === "ENAMETOOLONG") return undefined;
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
