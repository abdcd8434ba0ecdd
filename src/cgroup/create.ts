import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH } from "../../bindings/abi/fcntl.ts";
import { UNDO, withPurpose } from "../../bindings/ffi/purpose.ts";
import { mkdirSync, rmdirSync } from "../../bindings/linux/directories.ts";
import { accessSync, openSync, W_OK } from "../../bindings/linux/files.ts";
import { dirname } from "../../bindings/linux/paths.ts";
import { errorCode, RuntsError } from "../errors.ts";
import type { LinuxResources } from "../spec/types.ts";
import {
  CGROUP_MOUNT,
  cgroupName,
  describeErrno,
  describeProcesses,
  processesOf,
  tryReadCgroupFile,
} from "./files.ts";
import { controllerOf } from "./limits/cgroup-write.ts";
import { checkCgroupType, enableControllers } from "./limits/controllers.ts";
import { planResources } from "./limits/plan.ts";
import { callerCgroup } from "./path.ts";

export interface Cgroup {
  readonly directory: string;
  /** Directories that were created, outermost first. */
  readonly created: readonly string[];
}

/**
 * Creates the container's cgroup and its missing ancestors, and enables their controllers. An existing cgroup is used if it is empty
 * and not frozen (config-linux.md, Control groups: "fit for purpose"). If it fails, what was created is removed again.
 */
export function createCgroup(
  directory: string,
  resources: LinuxResources | undefined,
  options: { readonly rootless: boolean },
): Cgroup {
  const needed = neededControllers(resources);
  const created: string[] = [];
  try {
    makeDirectories(directory, created);
    enableControllers(directory, needed);
    checkCgroupType(directory, needed);
    checkFitness(directory);
    if (options.rootless) checkMigrationRights(directory);
  } catch (error) {
    withPurpose("", UNDO, () => removeCreated(created));
    throw error;
  }
  return { directory, created };
}

/** Opens the directory for CLONE_INTO_CGROUP and bpf(2), which both accept O_PATH. */
export function openCgroup(cgroup: Cgroup): number {
  return openSync(cgroup.directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/** Whether the config requires a cgroup. If not, a container may go without one where none can be created. */
export function requiresCgroup(
  resources: LinuxResources | undefined,
  cgroupsPath: string | undefined,
): boolean {
  return (cgroupsPath ?? "") !== "" || neededControllers(resources).size > 0;
}

/** The controllers that the limits need, each with the JSON pointer of the first property that needs it. */
export function neededControllers(resources: LinuxResources | undefined): Map<string, string> {
  const needed = new Map<string, string>();
  for (const { file, pointer, unlimited = false } of resources === undefined
    ? []
    : planResources(resources)) {
    const controller = controllerOf(file);
    if (!unlimited && controller !== "cgroup" && !needed.has(controller)) needed.set(controller, pointer);
  }
  return needed;
}

/** mkdir -p that records what it created. The ancestors usually exist, so the innermost directory is tried first. */
function makeDirectories(directory: string, created: string[]): void {
  const make = () => {
    mkdirSync(directory, { mode: 0o755 });
    created.push(directory);
  };
  const purpose = `make the cgroup ${cgroupName(directory)}`;
  try {
    withPurpose("/linux/cgroupsPath", purpose, make);
  } catch (error) {
    const errno = errorCode(error);
    if (errno === "EEXIST") return;
    if (errno === "ENOENT" && dirname(directory).startsWith(`${CGROUP_MOUNT}/`)) {
      makeDirectories(dirname(directory), created);
      withPurpose("/linux/cgroupsPath", purpose, make);
      return;
    }
    if (errno === "") throw error;
    const hint =
      errno === "EAGAIN"
        ? "; cgroup.max.descendants or cgroup.max.depth of a cgroup above it is reached"
        : "";
    throw new RuntsError(
      `/linux/cgroupsPath: cannot create cgroup ${cgroupName(directory)}: ${describeErrno(errno)}${hint}`,
      { operation: "mkdir", errno, pointer: "/linux/cgroupsPath", path: directory, cause: error },
    );
  }
}

/**
 * Moving a process from one cgroup into another takes write permission for cgroup.procs of the target and of the nearest common
 * ancestor: cgroups(7), "Cgroup delegation: containment rules". CLONE_INTO_CGROUP follows the same rules.
 */
function checkMigrationRights(directory: string): void {
  const file = `${commonAncestor(directory)}/cgroup.procs`;
  try {
    for (const path of [`${directory}/cgroup.procs`, file]) accessSync(path, W_OK);
  } catch (error) {
    const errno = errorCode(error);
    if (errno === "" || errno === "ENOENT") throw error;
    throw new RuntsError(
      `/linux/cgroupsPath: cannot move a process into cgroup ${cgroupName(directory)}: ${describeErrno(errno)}`,
      { operation: "access", errno, pointer: "/linux/cgroupsPath", path: file, cause: error },
    );
  }
}

/** The nearest cgroup that is an ancestor of both the caller's cgroup and this one. */
export function commonAncestor(directory: string): string {
  const own = `${callerCgroup()}/`;
  let ancestor = directory;
  while (ancestor !== CGROUP_MOUNT && !own.startsWith(`${ancestor}/`)) ancestor = dirname(ancestor);
  return ancestor;
}

/**
 * Refuses a cgroup that is frozen or not empty. cgroup.events also covers processes of descendants and frozen ancestors. A cgroup that
 * doesn't exist yet is fit. The messages are runc's.
 */
export function checkFitness(directory: string): void {
  const events = tryReadCgroupFile(directory, "cgroup.events")?.split("\n") ?? [];
  if (events.includes("frozen 1")) throw frozenError(directory);
  // Processes that were killed just now may be gone by now, so only those that are still listed count.
  const pids = events.includes("populated 1") ? processesOf(directory) : [];
  if (pids.length > 0) {
    throw new RuntsError(
      `/linux/cgroupsPath: container's cgroup is not empty: ${pids.length} process(es) found in ${cgroupName(directory)}: ` +
        describeProcesses(pids),
      { operation: "create", pointer: "/linux/cgroupsPath", path: directory },
    );
  }
}

export function frozenError(directory: string): RuntsError {
  return new RuntsError(
    `/linux/cgroupsPath: container's cgroup unexpectedly frozen: ${cgroupName(directory)}: a container in it would hang`,
    { operation: "create", pointer: "/linux/cgroupsPath", path: directory },
  );
}

/** Removes the directories that `createCgroup` created, as far as they are empty. */
export function removeCreated(created: readonly string[]): void {
  for (const directory of created.toReversed()) {
    try {
      withPurpose("/linux/cgroupsPath", `remove the cgroup ${cgroupName(directory)}`, () =>
        rmdirSync(directory),
      );
    } catch (error) {
      if (errorCode(error) === "ENOENT") continue;
      // Somebody else may already use the directory, and the error that led here matters more.
      return;
    }
  }
}
