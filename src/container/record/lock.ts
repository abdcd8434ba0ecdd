import { LOCK_EX, LOCK_NB, O_DIRECTORY, O_NOFOLLOW, O_RDONLY } from "../../../bindings/abi/fcntl.ts";
import { trySyscall } from "../../../bindings/ffi/syscall.ts";
import { fstatSync, statSync } from "../../../bindings/linux/file-status.ts";
import { closeSync, openSync } from "../../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { sleep } from "../../../bindings/linux/sleep.ts";
import { errorCode, RuntsError } from "../../errors.ts";
import type { GlobalOptions } from "../context.ts";
import {
  checkId,
  containerDirectory,
  doesNotExist,
  NewerFormatError,
  type SavedState,
  tryReadState,
} from "./saved-state.ts";
import { type Status, statusOf } from "./status.ts";

/** How long an operation waits for another one on the same container. */
const TIMEOUT_MS = 30_000;
const RETRY_MS = 5;

export interface ContainerLock {
  release(): void;
}

/**
 * Locks a container by its directory, flock(2): operations on one container exclude each other. The lock ends with the process, however
 * that ends. Returns undefined if there is no such directory, or if it is gone by the time that it is locked.
 */
export function lockContainer(directory: string, id: string): ContainerLock | undefined {
  return lock(directory, O_DIRECTORY, id);
}

/**
 * Locks the mounts of a running container: changes of them exclude each other and `checkpoint`. They have their own lock since a
 * process of the runtime in the container's cgroup makes them. A container could freeze its cgroup, and with it that process; then the
 * container's own lock would be out of reach of `delete --force`, which kills that process. An operation that takes both locks takes
 * this one first.
 */
export function lockMounts(directory: string, id: string): ContainerLock | undefined {
  return lock(`${directory}/config.json`, 0, id);
}

function lock(path: string, flags: number, id: string): ContainerLock | undefined {
  const fd = open(path, flags);
  if (fd === undefined) return undefined;
  const deadline = performance.now() + TIMEOUT_MS;
  while (trySyscall("flock", fd, LOCK_EX | LOCK_NB) < 0) {
    if (performance.now() > deadline) {
      closeSync(fd);
      throw new RuntsError(
        `container ${id}: another operation on it has not ended for ${TIMEOUT_MS / 1000} s`,
        {
          operation: "flock",
          errno: "ETIMEDOUT",
          path,
        },
      );
    }
    sleep(RETRY_MS);
  }
  if (!isStill(path, fd)) {
    closeSync(fd);
    return undefined;
  }
  const held = new OwnedDescriptor(fd);
  return { release: () => held.close() };
}

function open(path: string, flags: number): number | undefined {
  try {
    return openSync(path, O_RDONLY | O_NOFOLLOW | flags);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error))) return undefined;
    throw error;
  }
}

/** Whether the path still leads to the file that was locked: it may have been deleted, and made anew, meanwhile. */
function isStill(path: string, fd: number): boolean {
  try {
    const now = statSync(path, { throwIfNoEntry: false });
    return now !== undefined && now.ino === fstatSync(fd).ino;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

export interface LockedContainer {
  readonly directory: string;
  readonly saved: SavedState;
  readonly status: Status;
}

export interface LockOptions<T> {
  /** A container that the caller has made and locked just now. Its lock is released in the end. */
  readonly created?: { readonly state: SavedState; readonly lock: ContainerLock | undefined } | undefined;
  /** Called, without a lock, if there is no such directory. By default that is an error. */
  readonly missing?: () => T;
  /** Called if the directory has no record (`damage` is undefined) or a damaged one. By default that is an error. */
  readonly damaged?: (directory: string, damage: RuntsError | undefined) => T;
}

/** Runs the action under the container's lock: no other operation can change the status meanwhile. */
export function withLockedContainer<T>(
  { root }: Pick<GlobalOptions, "root">,
  id: string,
  action: (container: LockedContainer) => T,
  { created, missing, damaged }: LockOptions<T> = {},
): T {
  checkId(id);
  const directory = containerDirectory(root, id);
  const lock = created === undefined ? lockContainer(directory, id) : created.lock;
  if (lock === undefined) {
    if (missing !== undefined) return missing();
    throw doesNotExist(id);
  }
  try {
    const saved = created?.state ?? readRecord(directory);
    if (saved !== undefined && !(saved instanceof RuntsError))
      return action({ directory, saved, status: statusOf(directory, saved) });
    if (damaged !== undefined) return damaged(directory, saved);
    throw saved ?? doesNotExist(id);
  } finally {
    lock.release();
  }
}

/** Returns the error of a record that is damaged. One of a newer format is not: whoever can't read it must not remove anything. */
function readRecord(directory: string): SavedState | RuntsError | undefined {
  try {
    return tryReadState(directory);
  } catch (error) {
    if (error instanceof RuntsError && !(error instanceof NewerFormatError)) return error;
    throw error;
  }
}
