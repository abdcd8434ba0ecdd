import { statfsSync } from "../../bindings/linux/file-status.ts";
import { accessSync, readFileSync, W_OK } from "../../bindings/linux/files.ts";
import { absolutePath, dirname } from "../../bindings/linux/paths.ts";
import { errorCode, RuntsError } from "../errors.ts";
import type { Config } from "../spec/types.ts";
import { CGROUP_MOUNT, CGROUP2_SUPER_MAGIC, describeErrno } from "./files.ts";

/** The mount point of the unified hierarchy; throws where cgroup v2 is not mounted there. */
export function findCgroupMount(): string {
  let type: number | undefined;
  let obstacle = "nothing is there";
  try {
    type = statfsSync(CGROUP_MOUNT).type;
  } catch (error) {
    const errno = errorCode(error);
    if (errno === "") throw error;
    if (errno !== "ENOENT") obstacle = `statfs: ${describeErrno(errno)}`;
  }
  if (type !== CGROUP2_SUPER_MAGIC) {
    const hint =
      type === undefined
        ? obstacle
        : "this looks like a v1 or hybrid set-up; with systemd, boot with systemd.unified_cgroup_hierarchy=1";
    throw new RuntsError(
      `cgroup v2 is not mounted at ${CGROUP_MOUNT}: runts needs a unified cgroup hierarchy (${hint})`,
      { operation: "statfs", path: CGROUP_MOUNT },
    );
  }
  return CGROUP_MOUNT;
}

/** Whether this user may create cgroups in a directory and move processes into them (cgroups(7), Delegation). */
export function isWritableCgroup(directory: string): boolean {
  try {
    accessSync(directory, W_OK);
    accessSync(`${directory}/cgroup.procs`, W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Directory of the container's cgroup.
 *
 * A relative cgroupsPath, or `<id>` if there is none, is below the root cgroup: config-linux.md (Cgroups Path) requires the same
 * place for the same value, so the caller's own cgroup must not matter. For a user who can't write there, it is instead a sibling of
 * the caller's cgroup, the nearest place that may be delegated to that user, or a child of it if only the caller's cgroup is delegated.
 * `slice:prefix:name`, the form for systemd, is a name like any other here.
 */
export function cgroupPathFor(config: Config, id: string, mountpoint: string): string {
  const path = config.linux?.cgroupsPath ?? "";
  const relative = absolutePath(`/${path === "" ? id : path}`);
  if (relative === "/" || relative.includes("\0")) {
    throw new RuntsError(
      `/linux/cgroupsPath: ${JSON.stringify(path)} does not name a cgroup below the root cgroup`,
      { pointer: "/linux/cgroupsPath", path },
    );
  }
  return `${mountpoint}${path.startsWith("/") ? "" : baseOfRelativePaths(mountpoint)}${relative}`;
}

function baseOfRelativePaths(mountpoint: string): string {
  try {
    accessSync(mountpoint, W_OK);
    return "";
  } catch {
    const own = ownCgroup();
    const parent = dirname(own);
    const base =
      !isWritableCgroup(`${mountpoint}${parent}`) && isWritableCgroup(`${mountpoint}${own}`) ? own : parent;
    return base === "/" ? "" : base;
  }
}

/** Directory of the caller's cgroup, in which a container without its own cgroup runs too. */
export function callerCgroup(): string {
  const path = ownCgroup();
  return `${findCgroupMount()}${path === "/" ? "" : path}`;
}

function ownCgroup(): string {
  // It begins with `/..` where the caller's cgroup is outside of its cgroup namespace.
  return absolutePath(`/${cgroupPathOf("self")}`);
}

/** The path of a process's cgroup below the mount point, from the line `0::/path` in /proc/PID/cgroup: cgroups(7). */
export function cgroupPathOf(pid: number | "self"): string {
  const lines = readFileSync(`/proc/${pid}/cgroup`, "utf8").split("\n");
  return lines.find((line) => line.startsWith("0::"))?.slice("0::".length) ?? "";
}
