import { statSync } from "../../bindings/linux/file-status.ts";
import { chownSync, readFileSync } from "../../bindings/linux/files.ts";
import { errorCode, RuntsError } from "../errors.ts";
import type { Config } from "../spec/types.ts";
import { cgroupName, describeErrno } from "./files.ts";

/** For kernels before 4.14: config-linux.md, Cgroup ownership. */
const DELEGATED_FILES = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

/** The container may manage cgroups below its own, which it sees as the root and is given to write to. */
export function isDelegated({ mounts = [] }: Config): boolean {
  return mounts.some(
    ({ destination, source, type, options = [] }) =>
      destination === "/sys/fs/cgroup" &&
      (source === "cgroup" || type === "cgroup" || type === "cgroup2") &&
      !options.includes("ro"),
  );
}

/**
 * Gives a cgroup to the user `uid` of the user namespace that `pid` is in: the directory and what the kernel says is safe to
 * delegate, so that limits stay with the host. Files that are not there are no error, nor is a user that is not mapped: the
 * container will not run as that.
 */
export function delegateCgroup(
  directory: string,
  { pid, uid }: { readonly pid: number; readonly uid: number },
  rootless: boolean,
): void {
  const owner = outerUid(readFileSync(`/proc/${pid}/uid_map`, "latin1"), uid);
  if (owner === undefined) return;
  for (const file of ["", ...delegatedFiles()]) {
    const path = file === "" ? directory : `${directory}/${file}`;
    try {
      const before = statSync(path);
      if (before.uid !== owner) chownSync(path, owner, before.gid);
    } catch (error) {
      const errno = errorCode(error);
      if (errno === "ENOENT" || (rootless && errno === "EPERM")) continue;
      if (errno === "") throw error;
      throw new RuntsError(
        `/linux/cgroupsPath: cannot give ${path.slice(directory.length + 1) || "the directory"} of cgroup ` +
          `${cgroupName(directory)} to user ${owner}: ${describeErrno(errno)}`,
        { operation: "chown", errno, pointer: "/linux/cgroupsPath", path, cause: error },
      );
    }
  }
}

/** user_namespaces(7): lines of `INSIDE OUTSIDE COUNT`, where outside is the reader's user namespace. */
export function outerUid(uidMap: string, uid: number): number | undefined {
  for (const line of uidMap.split("\n")) {
    const [inside = 0, outside = 0, count = 0] = line.trim().split(/\s+/).map(Number);
    if (uid >= inside && uid < inside + count) return outside + uid - inside;
  }
  return undefined;
}

function delegatedFiles(): string[] {
  try {
    return readFileSync("/sys/kernel/cgroup/delegate", "latin1").split("\n").filter(Boolean);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    return DELEGATED_FILES;
  }
}
