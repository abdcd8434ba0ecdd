import { shownName } from "../../../bindings/abi/c-string.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../../bindings/abi/fcntl.ts";
import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { detachedReadonlyMount } from "../../../bindings/linux/detached-mount.ts";
import { statSync } from "../../../bindings/linux/file-status.ts";
import { openSync, writeFileSync } from "../../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { absolutePath } from "../../../bindings/linux/paths.ts";
import { CGROUP_MOUNT, cgroupName, readCgroupFile } from "../../cgroup/files.ts";
import { isEffectivelyFrozen, isFrozen } from "../../cgroup/freeze.ts";
import { errorCode, RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import type { SavedState } from "../record/saved-state.ts";

export interface JoinCgroupOptions {
  /** Path below the container's cgroup that the caller has chosen. */
  readonly subCgroup?: string | undefined;
  /** Makes the error that is thrown if nothing may run in the cgroup. If undefined, the process waits there until it may. */
  readonly refusePaused: (() => RuntsError) | undefined;
  /** Whether the process joins the container's own cgroup, wherever init is. */
  readonly ownCgroup?: boolean;
}

/** The open cgroup of a process that joins a container: the process is cloned into it by `descriptor`, or moved there by `attach`. */
export interface JoinCgroup {
  /** Its path, printable; undefined for a container without a cgroup. */
  readonly directory: string | undefined;
  readonly descriptor: number | undefined;
  readonly attach: ((pid: number) => void) | undefined;
  /** May be called again. */
  close(): void;
}

export function openJoinCgroup(
  saved: CgroupOwner,
  options: JoinCgroupOptions,
  joinsUserNamespace: boolean,
): JoinCgroup {
  const cgroup = openCgroupOf(saved, options);
  try {
    const attach = joinsUserNamespace ? cgroup?.attachToOwned() : undefined;
    return {
      directory: cgroup?.directory,
      attach,
      descriptor: attach === undefined ? cgroup?.readonlyFd() : undefined,
      close: () => cgroup?.close(),
    };
  } catch (error) {
    cgroup?.close();
    throw error;
  }
}

/** Pid of init, and the container's cgroup, which is empty if it has none. */
type CgroupOwner = Pick<SavedState, "pid" | "cgroup">;

/**
 * Opens the cgroup for a further process: the one that init is in now. systemd in a container moves itself into a sub-cgroup, and only
 * leaves take processes once controllers are enabled below (cgroups(7), "No internal processes"). Sub-cgroups belong to the container,
 * though: if it has made init's one unopenable, or has frozen it, the container's own cgroup is opened. Returns undefined for a container
 * without a cgroup.
 */
function openCgroupOf(saved: CgroupOwner, options: JoinCgroupOptions): OpenCgroup | undefined {
  if (saved.cgroup === "") return undefined;
  const opened: OpenCgroup[] = [];
  let chosen: OpenCgroup | undefined;
  try {
    chosen = chooseCgroup(saved, options, opened);
    return chosen;
  } finally {
    for (const cgroup of opened) if (cgroup !== chosen) cgroup.close();
  }
}

/** Chooses the cgroup. Adds each one that it opens to `opened`. */
function chooseCgroup(
  saved: CgroupOwner,
  { subCgroup, refusePaused, ownCgroup = false }: JoinCgroupOptions,
  opened: OpenCgroup[],
): OpenCgroup | undefined {
  if (subCgroup !== undefined) return openChosen(saved, subCgroup, { refusePaused }, opened);
  const inits = ownCgroup ? undefined : openCgroupOfInit(saved);
  if (inits !== undefined) opened.push(inits);
  if (inits?.canRun() === true) return inits;
  const own = new OpenCgroup(saved.cgroup);
  opened.push(own);
  // Whether processes can run there makes no difference if there is no other cgroup and the process may wait.
  if ((inits === undefined && refusePaused === undefined) || own.canRun()) return own;
  if (refusePaused === undefined) return inits;
  throw refusePaused();
}

function openChosen(
  saved: CgroupOwner,
  subCgroup: string,
  { refusePaused }: Pick<JoinCgroupOptions, "refusePaused">,
  opened: OpenCgroup[],
): OpenCgroup {
  const directory = absolutePath(`${saved.cgroup}/${checkedSubCgroup(subCgroup)}`);
  const cgroup = new OpenCgroup(directory, levelsBetween(saved.cgroup, directory));
  opened.push(cgroup);
  if (refusePaused === undefined || cgroup.canRun()) return cgroup;
  throw new RuntsError(
    `cannot exec in cgroup ${cgroupName(directory)}: it is frozen (use --ignore-paused to override)`,
    { operation: "exec", path: directory },
  );
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

/** Each level is looked at by a path of `/..`, which must not be longer than PATH_MAX. */
const MAX_LEVELS = 1000;

/** Returns undefined if init is in the container's own cgroup, or in one that can't be named. */
function openCgroupOfInit({ pid, cgroup }: CgroupOwner): OpenCgroup | undefined {
  const path = pathOfInit(pid);
  if (path === undefined || path === cgroup.slice(CGROUP_MOUNT.length)) return undefined;
  const directory = Buffer.from(`${CGROUP_MOUNT}${path}`, "latin1");
  const above = Buffer.from(`${cgroup}/`);
  // From inside another cgroup namespace the kernel shows paths that lead up and out.
  if (!directory.subarray(0, above.length).equals(above)) return undefined;
  const levels = levelsBetween(cgroup.slice(CGROUP_MOUNT.length), path);
  if (levels > MAX_LEVELS) return undefined;
  try {
    return new OpenCgroup(directory, levels);
  } catch (error) {
    if (error instanceof RuntsError) return undefined;
    throw error;
  }
}

function levelsBetween(above: string, below: string): number {
  return below.split("/").length - above.split("/").length;
}

/** Bytes of a /proc/PID/cgroup with as many hierarchies as there may be. */
const MAX_PROC_CGROUP = 64 * 1024;

/** Byte by byte, since a name may be no text. undefined if it is longer than the PATH_MAX that procfs shows. */
function pathOfInit(pid: number): string | undefined {
  try {
    const lines = readCgroupFile(`/proc/${pid}`, "cgroup", MAX_PROC_CGROUP).split("\n");
    return lines.find((line) => line.startsWith("0::"))?.slice("0::".length);
  } catch (error) {
    if (errorCode(error) === "ENAMETOOLONG") return undefined;
    throw error;
  }
}

/** A cgroup that a process is about to enter, open. */
class OpenCgroup {
  /** Its path, printable. */
  readonly directory: string;
  #descriptor: OwnedDescriptor;
  /** Number of levels, from this cgroup up, that the container may have frozen without being paused. */
  readonly #levels: number;

  constructor(directory: string | Buffer, levels = 0) {
    this.directory = shownName(directory);
    this.#levels = levels;
    this.#descriptor = new OwnedDescriptor(
      onBehalfOf("/linux/cgroupsPath", `open the cgroup ${this.directory}`, () =>
        openSync(directory, O_PATH | O_DIRECTORY | O_CLOEXEC),
      ),
    );
  }

  get #path(): string {
    return `/proc/self/fd/${this.#descriptor.number}`;
  }

  /**
   * Whether processes can run in it. Looks at cgroup.freeze as well: a process that never stops keeps the cgroup from being frozen as a
   * whole, while the freezer still stops all others.
   */
  canRun(): boolean {
    if (isEffectivelyFrozen(this.#path)) return false;
    for (let level = 0; level < this.#levels; level++)
      if (isFrozen(`${this.#path}${"/..".repeat(level)}`)) return false;
    return true;
  }

  /**
   * Returns a descriptor for clone3(2). The process holds it for a moment in sight of the container. A process with CAP_SYS_PTRACE that
   * opens it by /proc gets to nothing but the inside of the cgroup (CVE-2016-9962).
   */
  readonlyFd(): number {
    const purpose = `open the cgroup ${this.directory} for a clone`;
    const mount = withPurpose("/linux/cgroupsPath", purpose, () =>
      detachedReadonlyMount(this.#descriptor.number),
    );
    if (mount !== undefined) {
      this.close();
      this.#descriptor = new OwnedDescriptor(mount);
    }
    return this.#descriptor.number;
  }

  /**
   * Returns the function that moves a process into the cgroup, if the container owns the cgroup; else undefined. Once the process has
   * joined the user namespace, it is not the owner, and may not override the owner's rights: it can't clone itself into the cgroup. So the
   * runtime moves it, before it executes anything.
   */
  attachToOwned(): ((pid: number) => void) | undefined {
    const path = `${this.#path}/cgroup.procs`;
    const owner = onBehalfOf(
      "/linux/cgroupsPath",
      `look at cgroup.procs of ${this.directory}`,
      () => statSync(path).uid,
    );
    if (owner === 0) return undefined;
    return (pid) =>
      onBehalfOf("/linux/cgroupsPath", `move the process to the cgroup ${this.directory}`, () =>
        writeFileSync(path, String(pid)),
      );
  }

  close(): void {
    this.#descriptor.close();
  }
}
