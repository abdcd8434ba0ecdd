import { statSync } from "../../bindings/linux/file-status.ts";
import { existsSync, readFileSync } from "../../bindings/linux/files.ts";
import { effectiveUid, environment } from "../../bindings/linux/own-process.ts";
import { dirname } from "../../bindings/linux/paths.ts";
import { RuntsError, reworded } from "../errors.ts";
import { outerId, parseIdMap } from "../spec/id-map.ts";
import type { Linux } from "../spec/types.ts";
import { commonAncestor, neededControllers } from "./create.ts";
import { CGROUP_MOUNT, cgroupName, describeProcesses, processesOf, readWords } from "./files.ts";
import { callerCgroup, isWritableCgroup } from "./path.ts";

/**
 * Explains to a user without privileges why the cgroup `directory` was refused: which directory is not delegated to them, and how that
 * can be changed. Returns errors that are not denials of a cgroup as they are.
 */
export function withDelegationHint(error: unknown, directory: string, linux: Linux | undefined): unknown {
  if (!(error instanceof RuntsError)) return error;
  const { pointer = "", errno } = error;
  if (pointer !== "/linux/cgroupsPath" || !isDenial(errno)) return error;
  // Without cgroupsPath, the cgroup was made for the first limit that needs a controller.
  const { cgroupsPath = "", resources } = linux ?? {};
  const [asking = pointer] = cgroupsPath === "" ? neededControllers(resources).values() : [];
  const what = error.message.slice(`${pointer}: `.length);
  const message = asking === pointer ? error.message : `${asking}: needs a cgroup: ${what}`;
  return reworded(error, `${message}; ${denialReason(directory)}`, asking);
}

/**
 * Explains a clone into a cgroup that failed with EBUSY: a cgroup with controllers enabled for its children takes no processes itself
 * (cgroups(7), "no internal processes"). Returns other errors as they are.
 */
export function withBusyCgroupHint(error: unknown, directory: string): unknown {
  if (!(error instanceof RuntsError) || error.operation !== "clone3" || error.errno !== "EBUSY") return error;
  const enabled = readWords(directory, "cgroup.subtree_control");
  if (enabled.length === 0) return error;
  const pids = processesOf(directory);
  const blocking = pids.length === 0 ? "" : `; processes in them: ${describeProcesses(pids)}`;
  return new RuntsError(
    `/linux/cgroupsPath: cgroup ${cgroupName(directory)} takes no processes itself, as its cgroup.subtree_control enables ` +
      `${enabled.join(", ")} for the cgroups below it: choose one of those${blocking}`,
    { operation: "clone3", errno: "EBUSY", pointer: "/linux/cgroupsPath", path: directory, cause: error },
  );
}

export function isDenial(errno: string | undefined): boolean {
  return errno === "EACCES" || errno === "EPERM" || errno === "EROFS";
}

/** Says which directory is in the way, who owns it and what to do. The ids are the host's, as it is the host's root who acts on them. */
export function denialReason(directory: string): string {
  const map = parseIdMap(readFileSync("/proc/self/uid_map", "latin1"));
  const own = effectiveUid();
  const uid = outerId(own, map) ?? own;
  const ancestor = commonAncestor(directory);
  const existing = nearestExisting(directory);
  const obstacle = isWritableCgroup(existing) ? ancestor : existing;
  const owner = outerId(statSync(obstacle).uid, map);
  const whose = owner === undefined ? "a user outside of the caller's user namespace" : `user ${owner}`;
  return `${obstacle} belongs to ${whose} and is not delegated to user ${uid}: ${remedy(uid)}`;
}

function nearestExisting(directory: string): string {
  let existing = directory;
  while (existing !== CGROUP_MOUNT && !existsSync(existing)) existing = dirname(existing);
  return existing;
}

/** systemd delegates to user managers; without it, root gives a cgroup away by hand. */
function remedy(uid: number): string {
  if (existsSync("/run/systemd/system")) {
    const manager = `${environment("XDG_RUNTIME_DIR") ?? `/run/user/${uid}`}/systemd/private`;
    return existsSync(manager)
      ? "start runts by systemd-run --user --scope -p Delegate=yes"
      : `this user has no systemd manager: log in as this user, or as root loginctl enable-linger ${uid}; then start runts by systemd-run --user --scope -p Delegate=yes`;
  }
  const own = callerCgroup();
  const group = own === CGROUP_MOUNT ? `${CGROUP_MOUNT}/user-${uid}` : own;
  return (
    `as root, mkdir -p ${group}; chown ${uid} ${group} ${group}/cgroup.procs ${group}/cgroup.subtree_control ` +
    `${group}/cgroup.threads; and start runts in cgroup ${cgroupName(group)}`
  );
}
