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

export interface EntryOptions {
  /** Of the caller's choice, below the container's cgroup. */
  readonly subCgroup?: string | undefined;
  /** What is thrown where nothing may run. Without it the process waits there until it may. */
  readonly refusePaused: (() => RuntsError) | undefined;
  /** Whether it is the container's own, wherever init is. */
  readonly ownCgroup?: boolean;
}

/** The way of a further process into its cgroup: what it is cloned into, or who moves it there. Open until it is closed. */
export interface CgroupEntry {
  /** As a person names it; undefined for a container without one. */
  readonly directory: string | undefined;
  readonly descriptor: number | undefined;
  readonly attach: ((pid: number) => void) | undefined;
  /** May be called again. */
  close(): void;
}

export function openJoinCgroup(
  saved: CgroupOwner,
  options: EntryOptions,
  joinsUserNamespace: boolean,
): CgroupEntry {
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

/** Init, and the container's cgroup; empty if it has none. */
type CgroupOwner = Pick<SavedState, "pid" | "cgroup">;

/**
 * The cgroup for a further process: the one that init is in now. systemd in a container moves itself into a sub-cgroup, and only leaves
 * take processes once controllers are enabled below (cgroups(7), "No internal processes"). Sub-cgroups are the container's, though:
 * where it has made one that can't be opened, or has frozen it, it is the container's own. `undefined` for a container without one.
 */
function openCgroupOf(saved: CgroupOwner, options: EntryOptions): EntryCgroup | undefined {
  if (saved.cgroup === "") return undefined;
  const opened: EntryCgroup[] = [];
  let chosen: EntryCgroup | undefined;
  try {
    chosen = chooseCgroup(saved, options, opened);
    return chosen;
  } finally {
    for (const cgroup of opened) if (cgroup !== chosen) cgroup.close();
  }
}

/** What it looks at is added to `opened`. */
function chooseCgroup(
  saved: CgroupOwner,
  { subCgroup, refusePaused, ownCgroup = false }: EntryOptions,
  opened: EntryCgroup[],
): EntryCgroup | undefined {
  if (subCgroup !== undefined) return openChosen(saved, subCgroup, { refusePaused }, opened);
  const inits = ownCgroup ? undefined : openCgroupOfInit(saved);
  if (inits !== undefined) opened.push(inits);
  if (inits?.canRun() === true) return inits;
  const own = new EntryCgroup(saved.cgroup);
  opened.push(own);
  // Whether it can run makes no difference where there is no other and the process may wait.
  if ((inits === undefined && refusePaused === undefined) || own.canRun()) return own;
  if (refusePaused === undefined) return inits;
  throw refusePaused();
}

function openChosen(
  saved: CgroupOwner,
  subCgroup: string,
  { refusePaused }: Pick<EntryOptions, "refusePaused">,
  opened: EntryCgroup[],
): EntryCgroup {
  const directory = absolutePath(`${saved.cgroup}/${checkedSubCgroup(subCgroup)}`);
  const cgroup = new EntryCgroup(directory, levelsBetween(saved.cgroup, directory));
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

/** Each is looked at by a path that leads up, which must not be longer than PATH_MAX. */
const MAX_LEVELS = 1000;

/** undefined where init is in the container's own cgroup, or in one that can't be named. */
function openCgroupOfInit({ pid, cgroup }: CgroupOwner): EntryCgroup | undefined {
  const path = pathOfInit(pid);
  if (path === undefined || path === cgroup.slice(CGROUP_MOUNT.length)) return undefined;
  const directory = Buffer.from(`${CGROUP_MOUNT}${path}`, "latin1");
  const above = Buffer.from(`${cgroup}/`);
  // From inside another cgroup namespace the kernel shows paths that lead up and out.
  if (!directory.subarray(0, above.length).equals(above)) return undefined;
  const levels = levelsBetween(cgroup.slice(CGROUP_MOUNT.length), path);
  if (levels > MAX_LEVELS) return undefined;
  try {
    return new EntryCgroup(directory, levels);
  } catch (error) {
    if (error instanceof RuntsError) return undefined;
    throw error;
  }
}

function levelsBetween(above: string, below: string): number {
  return below.split("/").length - above.split("/").length;
}

/** Of as many hierarchies as there may be. */
const MAX_PROC_CGROUP = 64 * 1024;

/** Byte by byte, as a name may be no text. undefined where it is longer than procfs tells, which has no more than PATH_MAX. */
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
class EntryCgroup {
  /** As a person names it. */
  readonly directory: string;
  #descriptor: OwnedDescriptor;
  /** How many levels, it itself included, the container may have frozen without being paused. */
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

  /** What freezes it is looked at as well: a process that never stops keeps a cgroup from being frozen, but not others from it. */
  canRun(): boolean {
    if (isEffectivelyFrozen(this.#path)) return false;
    for (let level = 0; level < this.#levels; level++)
      if (isFrozen(`${this.#path}${"/..".repeat(level)}`)) return false;
    return true;
  }

  /**
   * For clone3(2). The process holds this descriptor for a moment in sight of the container: who may open it by /proc there, with
   * CAP_SYS_PTRACE, gets no further than to what is in it (CVE-2016-9962).
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
   * For a container that owns its cgroup: once the process has joined the user namespace, it is neither that owner nor anybody who may
   * override the owner's rights, so that it can't clone itself into the cgroup. The runtime moves it there, before it executes anything.
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
