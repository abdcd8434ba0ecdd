import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { errorCode, RuntsError } from "../../errors.ts";
import {
  CGROUP_MOUNT,
  cgroupName,
  cgroupsFromRoot,
  describeErrno,
  describeProcesses,
  ownProcesses,
  readWords,
  tryReadCgroupFile,
  writeCgroupFile,
} from "../files.ts";

/** Controllers that can control single threads. The others can't be used in a threaded cgroup (cgroups(7), Thread mode). */
const THREADED_CONTROLLERS = ["cpu", "cpuset", "perf_event", "pids"];

/**
 * Makes controllers available in a cgroup by enabling them in all of its ancestors. Tries all that the host has, so that a later update
 * and the statistics find them. A failure matters only if a setting needs the controller, and shows when the setting is written.
 * `needed` maps each needed controller to the JSON pointer of the property that needs it.
 */
export function enableControllers(directory: string, needed: ReadonlyMap<string, string>): void {
  // The usual, cheap case: an earlier container or the engine has enabled everything.
  const present = tryReadCgroupFile(directory, "cgroup.controllers");
  if (present === tryReadCgroupFile(CGROUP_MOUNT, "cgroup.controllers")) return;
  for (const ancestor of cgroupsFromRoot(directory).slice(0, -1)) {
    const enabled = new Set(readWords(ancestor, "cgroup.subtree_control"));
    const missing = readWords(ancestor, "cgroup.controllers").filter((name) => !enabled.has(name));
    if (missing.length === 0) continue;
    // A cgroup with processes of its own can enable only threaded controllers, and becomes threaded by that, with all of its
    // descendants. So nothing is enabled there unless threaded controllers are all that is needed.
    if (internalProcesses(ancestor).length > 0) {
      if ([...needed.keys()].every((name) => THREADED_CONTROLLERS.includes(name)))
        for (const name of missing) if (needed.has(name)) tryEnable(ancestor, [name], needed);
    } else if (!tryEnable(ancestor, missing, needed) && missing.length > 1) {
      // The kernel refuses the whole write if it refuses one controller.
      for (const name of missing) tryEnable(ancestor, [name], needed);
    }
  }
}

/**
 * Processes that prevent a cgroup from enabling controllers: cgroups(7), "no internal processes". The host's root cgroup, which has no
 * cgroup.type, is exempt; the root of a cgroup namespace is not.
 */
function internalProcesses(directory: string): number[] {
  return tryReadCgroupFile(directory, "cgroup.type") === undefined ? [] : ownProcesses(directory);
}

function tryEnable(
  directory: string,
  controllers: readonly string[],
  needed: ReadonlyMap<string, string>,
): boolean {
  const asking = [...needed].find(([name]) => controllers.includes(name))?.[1] ?? "/linux/cgroupsPath";
  try {
    withPurpose(asking, "enable controllers for the cgroups below", () =>
      writeCgroupFile(directory, "cgroup.subtree_control", controllers.map((name) => `+${name}`).join(" ")),
    );
    return true;
  } catch (error) {
    if (errorCode(error) === "") throw error;
    return false;
  }
}

/**
 * Checks cgroup.type, which decides whether processes may enter and which controllers work. Makes the cgroup threaded if it has to be.
 * `needed` maps each needed controller to the JSON pointer of the property that needs it.
 */
export function checkCgroupType(directory: string, needed: ReadonlyMap<string, string>): void {
  const type = readWords(directory, "cgroup.type").join(" ");
  if (type === "domain" || type === "") return;
  for (const [controller, pointer] of needed) {
    if (THREADED_CONTROLLERS.includes(controller)) continue;
    throw new RuntsError(
      `${pointer}: the ${controller} controller does not work in cgroup ${cgroupName(directory)}, whose type is "${type}" ` +
        "because it, or a cgroup above it, is threaded",
      { pointer, path: directory },
    );
  }
  if (type !== "domain invalid") return;
  try {
    withPurpose("/linux/cgroupsPath", "make the cgroup threaded", () =>
      writeCgroupFile(directory, "cgroup.type", "threaded"),
    );
  } catch (error) {
    const errno = errorCode(error);
    if (errno === "") throw error;
    throw new RuntsError(
      `cgroup ${cgroupName(directory)} can't hold processes, as a cgroup above it is threaded: ${describeErrno(errno)}`,
      { operation: "write", errno, pointer: "/linux/cgroupsPath", path: `${directory}/cgroup.type` },
    );
  }
}

/** Says why a controller does not work in a cgroup and how to change that; undefined if it does. */
export function controllerProblem(
  directory: string,
  controller: string,
  rootless: boolean,
): string | undefined {
  let parent: string | undefined;
  for (const cgroup of cgroupsFromRoot(directory)) {
    if (!readWords(cgroup, "cgroup.controllers").includes(controller)) {
      const where = parent === undefined ? notInKernel(cgroup) : notEnabled(parent, controller, rootless);
      return `the ${controller} controller is not available in cgroup ${cgroupName(directory)}: ${where}`;
    }
    parent = cgroup;
  }
  return undefined;
}

/** The root may be a cgroup namespace's, such as a container's. cgroups(7): a controller is in one hierarchy at a time. */
function notInKernel(root: string): string {
  const file = `${root}/cgroup.controllers`;
  return `it is missing in ${file}; the kernel needs it built in, not disabled (cgroup_disable=) and not used by a cgroup v1 hierarchy`;
}

function notEnabled(directory: string, controller: string, rootless: boolean): string {
  const file = `${directory}/cgroup.subtree_control`;
  const pids = internalProcesses(directory);
  if (pids.length > 0) {
    return (
      `it is not enabled in ${file}, as ${cgroupName(directory)} has processes of its own; ` +
      `move them into a cgroup below it, or choose another cgroupsPath: ${describeProcesses(pids)}`
    );
  }
  const advice = rootless
    ? `delegate it to this user, under systemd by Delegate=${controller} in user@.service`
    : `enable it by writing +${controller} there`;
  return `it is not enabled in ${file}; ${advice}`;
}
