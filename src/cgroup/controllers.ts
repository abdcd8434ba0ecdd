import { RuntsError } from "../errors.ts";
import {
  CGROUP_MOUNT,
  cgroupName,
  cgroupsFromRoot,
  describeErrno,
  errorCode,
  ownProcesses,
  readWords,
  tryReadCgroupFile,
  writeCgroupFile,
} from "./files.ts";

/**
 * Makes controllers available in a cgroup by enabling them in every cgroup above it. All that the host has are tried, so that
 * a later update and the statistics find them; failures matter only for the ones that a setting needs, and show when it
 * is written.
 */
export function enableControllers(directory: string): void {
  // The usual case, and the cheap one: an earlier container, or the engine, has enabled everything.
  const present = tryReadCgroupFile(directory, "cgroup.controllers");
  if (present === tryReadCgroupFile(CGROUP_MOUNT, "cgroup.controllers")) return;
  for (const ancestor of cgroupsFromRoot(directory).slice(0, -1)) {
    const enabled = new Set(readWords(ancestor, "cgroup.subtree_control"));
    const missing = readWords(ancestor, "cgroup.controllers").filter((name) => !enabled.has(name));
    if (missing.length === 0 || tryEnable(ancestor, missing)) continue;
    // One refused controller refuses the whole write.
    if (missing.length > 1) for (const name of missing) tryEnable(ancestor, [name]);
  }
}

function tryEnable(directory: string, controllers: readonly string[]): boolean {
  try {
    writeCgroupFile(directory, "cgroup.subtree_control", controllers.map((name) => `+${name}`).join(" "));
    return true;
  } catch (error) {
    if (errorCode(error) === "") throw error;
    return false;
  }
}

/** Controllers that manage threads one by one: the others can't be used in a threaded cgroup (cgroups(7), Thread mode). */
const THREADED_CONTROLLERS = ["cpu", "cpuset", "perf_event", "pids"];

/** cgroup.type decides whether a process may enter and which controllers work. `needed`: controller to the asking pointer. */
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
    writeCgroupFile(directory, "cgroup.type", "threaded");
  } catch (error) {
    const errno = errorCode(error);
    if (errno === "") throw error;
    throw new RuntsError(
      `cgroup ${cgroupName(directory)} can't hold processes, as a cgroup above it is threaded: ${describeErrno(errno)}`,
      { operation: "write", errno, pointer: "/linux/cgroupsPath", path: `${directory}/cgroup.type` },
    );
  }
}

/** Why a controller does not work in a cgroup; undefined when it does. */
export function controllerProblem(directory: string, controller: string): string | undefined {
  let parent: string | undefined;
  for (const cgroup of cgroupsFromRoot(directory)) {
    if (!readWords(cgroup, "cgroup.controllers").includes(controller)) {
      const where = parent === undefined ? `missing in ${cgroup}/cgroup.controllers` : notEnabled(parent);
      return `the ${controller} controller is not available in cgroup ${cgroupName(directory)} (${where})`;
    }
    parent = cgroup;
  }
  return undefined;
}

/** cgroups(7), "no internal processes": a cgroup with processes of its own can't enable most controllers. */
function notEnabled(directory: string): string {
  const file = `${directory}/cgroup.subtree_control`;
  const count = directory === CGROUP_MOUNT ? 0 : ownProcesses(directory).length;
  const reason = count === 0 ? "" : `, as ${cgroupName(directory)} holds ${count} process(es) of its own`;
  return `not enabled in ${file}${reason}`;
}
