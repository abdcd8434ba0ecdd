import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../bindings/abi/fcntl.ts";
import { detachedReadonlyMount } from "../../bindings/linux/detached-mount.ts";
import { statSync } from "../../bindings/linux/file-status.ts";
import { closeSync, openSync, readFileSync, writeFileSync } from "../../bindings/linux/files.ts";
import { absolutePath } from "../../bindings/linux/paths.ts";
import { findCgroupMount } from "../cgroup/path.ts";
import { RuntsError } from "../errors.ts";
import { onBehalfOf } from "../init/run-program.ts";
import type { SavedState } from "./saved-state.ts";

/**
 * The cgroup that init is in now: systemd in a container moves itself into a sub-cgroup, and only leaves take processes once
 * controllers are enabled below (cgroups(7), "No internal processes").
 */
export function openCgroupOf(saved: SavedState, subCgroup: string | undefined): number | undefined {
  const directory = cgroupDirectory(saved, subCgroup);
  if (directory === undefined) return undefined;
  return onBehalfOf("/linux/cgroupsPath", `open the cgroup ${directory}`, () => {
    if (!statSync(directory).isDirectory())
      throw new RuntsError(`${directory} is not a cgroup`, { path: directory });
    return outOfReach(openSync(directory, O_PATH | O_DIRECTORY | O_CLOEXEC));
  });
}

/**
 * For a container that owns its cgroup: once the process has joined the user namespace, it is neither that owner nor anybody who may
 * override the owner's rights, so that it can't clone itself into the cgroup. The runtime moves it there, before it executes anything.
 */
export function attachToOwned(
  saved: SavedState,
  subCgroup: string | undefined,
): ((pid: number) => void) | undefined {
  const directory = cgroupDirectory(saved, subCgroup);
  if (directory === undefined) return undefined;
  const path = `${directory}/cgroup.procs`;
  const owner = onBehalfOf("/linux/cgroupsPath", `look at ${path}`, () => statSync(path).uid);
  if (owner === 0) return undefined;
  return (pid) =>
    onBehalfOf("/linux/cgroupsPath", `move the process to the cgroup ${directory}`, () =>
      writeFileSync(path, String(pid)),
    );
}

/** `undefined` for a container without one. */
export function cgroupDirectory(saved: SavedState, subCgroup: string | undefined): string | undefined {
  if (saved.cgroup === "") return undefined;
  return subCgroup === undefined
    ? currentCgroup(saved)
    : absolutePath(`${saved.cgroup}/${checkedSubCgroup(subCgroup)}`);
}

/**
 * The process holds this descriptor for a moment in sight of the container: who may open it by /proc there, with CAP_SYS_PTRACE,
 * gets no further than to what is in it (CVE-2016-9962).
 */
function outOfReach(directory: number): number {
  const mount = detachedReadonlyMount(directory);
  if (mount === undefined) return directory;
  closeSync(directory);
  return mount;
}

function currentCgroup(saved: SavedState): string {
  const line = /^0::(.*)$/m.exec(readFileSync(`/proc/${saved.pid}/cgroup`, "utf8"))?.[1] ?? "";
  const path = `${findCgroupMount()}${line === "/" ? "" : line}`;
  // From inside another cgroup namespace the kernel shows paths that lead up and out.
  return path.startsWith(`${saved.cgroup}/`) ? path : saved.cgroup;
}

/** `--cgroup PATH`, or `:PATH` as engines for v1 and v2 write it: never above the container's own cgroup. */
function checkedSubCgroup(text: string): string {
  const path = text.replace(/^:/, "").replace(/^\/+/, "");
  if (!path.includes(":") && !path.split("/").includes("..")) return path;
  throw new RuntsError(`--cgroup ${text}: must be a path below the container's cgroup`, {
    operation: "exec",
    path: text,
  });
}
