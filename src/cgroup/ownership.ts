import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { statSync } from "../../bindings/linux/file-status.ts";
import { chownSync, readFileSync } from "../../bindings/linux/files.ts";
import { errorCode, RuntsError } from "../errors.ts";
import { outerId, parseIdMap } from "../spec/id-map.ts";
import type { Config } from "../spec/types.ts";
import { cgroupName, describeErrno } from "./files.ts";

/** For kernels before 4.14, which have no /sys/kernel/cgroup/delegate: config-linux.md, Cgroup ownership. */
const DELEGATED_FILES: readonly string[] = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

/** Whether the container gets a writable mount of its cgroup, in which it may manage cgroups below its own. */
export function isDelegated({ mounts = [] }: Config): boolean {
  return mounts.some(
    ({ destination, source, type, options = [] }) =>
      destination === "/sys/fs/cgroup" &&
      (source === "cgroup" || type === "cgroup" || type === "cgroup2") &&
      !options.includes("ro"),
  );
}

/** The user of a container's process, to whom its cgroup is given. */
export interface CgroupOwner {
  readonly pid: number;
  /** In the container's user namespace. */
  readonly uid: number;
  /** Whether the container has its own user namespace, new or joined, instead of the runtime's. */
  readonly ownUserNamespace: boolean;
}

/**
 * Gives a cgroup to the container's user: the directory, and the files that the kernel lists as safe to delegate, so that the host
 * keeps control of the limits. Missing files are no error, and neither is an unmapped user, as which the container can't run anyway.
 */
export function delegateCgroup(directory: string, user: CgroupOwner, rootless: boolean): void {
  const owner = ownerFor(user);
  if (owner === undefined) return;
  const pointer = user.ownUserNamespace ? "/linux/uidMappings" : "/process/user/uid";
  for (const file of ["", ...delegatedFiles()]) {
    const path = file === "" ? directory : `${directory}/${file}`;
    try {
      const before = statSync(path);
      if (before.uid !== owner)
        withPurpose(pointer, "give the cgroup to the container's user", () =>
          chownSync(path, owner, before.gid),
        );
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

/**
 * The user's id in the runtime's user namespace, as chown(2) needs it; undefined if it isn't mapped. The outer ids of a uid_map are
 * those of the reader's user namespace. If the process is in that same namespace, they are those of its parent, and the map only
 * says which ids are mapped. user_namespaces(7)
 */
function ownerFor({ pid, uid, ownUserNamespace }: CgroupOwner): number | undefined {
  const outside = outerId(uid, parseIdMap(readFileSync(`/proc/${pid}/uid_map`, "latin1")));
  return outside === undefined || ownUserNamespace ? outside : uid;
}

function delegatedFiles(): readonly string[] {
  try {
    return readFileSync("/sys/kernel/cgroup/delegate", "latin1").split("\n").filter(Boolean);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    return DELEGATED_FILES;
  }
}
