import { readdirSync } from "../../../bindings/linux/directories.ts";
import { existsSync, readFileSync } from "../../../bindings/linux/files.ts";
import { isFrozen } from "../../cgroup/freeze.ts";
import { errorCode, RuntsError } from "../../errors.ts";
import { specVersion } from "../../version.ts";
import type { GlobalOptions } from "../context.ts";
import { decodeStatus, type ExitStatus } from "../process/exit-status.ts";
import { isAlive, isStub, unreapedStatus } from "../process/process-status.ts";
import {
  containerDirectory,
  readSavedState,
  type SavedState,
  startSocketPath,
  tryReadState,
} from "./saved-state.ts";

/** runtime.md, State; `paused` is the peers' addition. */
export type Status = "creating" | "created" | "running" | "paused" | "stopped";

/** The output of `state` and `list`: the properties of runtime.md, then those that runc adds, then `exitCode`. */
export interface ContainerState {
  readonly ociVersion: string;
  readonly id: string;
  /** 0 when the container is stopped. */
  readonly pid: number;
  readonly status: Status;
  readonly bundle: string;
  readonly rootfs: string;
  /** RFC 3339. */
  readonly created: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Name of the user who created the container, or its number where it has none. */
  readonly owner: string;
  /** Exit code of a stopped container's init, 128 plus the number for a signal; absent if it is not known. */
  readonly exitCode?: number;
}

/** Asks the kernel, not the record: a container may end, or its start be interrupted, with nobody there to write that down. */
export function statusOf(directory: string, saved: SavedState): Status {
  if (saved.creator !== null) {
    return isAlive(saved.creator.pid, saved.creator.startTime) ? "creating" : "stopped";
  }
  if (!isAlive(saved.pid, saved.startTime)) return "stopped";
  // First, as in runc: while it is frozen, a created container can't be started either.
  if (saved.cgroup !== "" && isFrozen(saved.cgroup)) return "paused";
  return awaitsStart(directory, saved) ? "created" : "running";
}

/** Whether init is still the stub that waits for `start`, frozen or not. */
export function awaitsStart(directory: string, { pid }: SavedState): boolean {
  return existsSync(startSocketPath(directory)) && isStub(pid);
}

export function stateOf(directory: string, saved: SavedState): ContainerState {
  const status = statusOf(directory, saved);
  const exitCode = status === "stopped" ? knownExit(saved)?.exitCode : undefined;
  return {
    ociVersion: specVersion,
    id: saved.id,
    pid: status === "stopped" ? 0 : saved.pid,
    status,
    bundle: saved.bundle,
    rootfs: saved.rootfs,
    created: saved.created,
    ...(Object.keys(saved.annotations).length > 0 && { annotations: saved.annotations }),
    owner: userName(saved.ownerUid),
    ...(exitCode !== undefined && { exitCode }),
  };
}

/** How init has ended: as noted in the record, or as its zombie says. Returns undefined if neither tells. */
export function knownExit({ pid, startTime, exitStatus }: SavedState): ExitStatus | undefined {
  if (exitStatus !== undefined) return exitStatus;
  const word = unreapedStatus(pid, startTime);
  return word === undefined ? undefined : decodeStatus(word);
}

export function readContainerState({ root }: GlobalOptions, id: string): ContainerState {
  const { directory, saved } = readSavedState(root, id);
  return stateOf(directory, saved);
}

/** Lists all containers below the root, by id. A missing root has none. A damaged record is a warning, as in runc. */
export function listContainers({ root, log }: GlobalOptions): ContainerState[] {
  const states: ContainerState[] = [];
  for (const id of entriesOf(root)) {
    const directory = containerDirectory(root, id);
    try {
      const saved = tryReadState(directory);
      if (saved !== undefined) states.push(stateOf(directory, saved));
    } catch (error) {
      if (!(error instanceof RuntsError)) throw error;
      log.warn(`container ${id}: ${error.message}`);
    }
  }
  return states;
}

/** Finds a container with another id that has not ended, and whose cgroup is this one or below it. Returns its id. */
export function findContainerIn(root: string, cgroup: string, id: string): string | undefined {
  return entriesOf(root).find((other) => {
    if (other === id) return false;
    const directory = containerDirectory(root, other);
    const saved = savedOrNone(directory);
    if (saved === undefined || !`${saved.cgroup}/`.startsWith(`${cgroup}/`)) return false;
    return statusOf(directory, saved) !== "stopped";
  });
}

function savedOrNone(directory: string): SavedState | undefined {
  try {
    return tryReadState(directory);
  } catch (error) {
    if (error instanceof RuntsError) return undefined;
    throw error;
  }
}

function entriesOf(root: string): string[] {
  try {
    return readdirSync(root).sort();
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** Returns the name of a user; `#` and the number if there is none. */
export function userName(uid: number): string {
  return findUserName(uid) ?? `#${uid}`;
}

/** Returns the host's name of a user, passwd(5); undefined if there is none. */
export function findUserName(uid: number): string | undefined {
  try {
    const lines = readFileSync("/etc/passwd", "utf8").split("\n");
    return lines.map((line) => line.split(":")).find((fields) => fields[2] === String(uid))?.[0];
  } catch {
    return undefined;
  }
}
