import { LOCK_EX, LOCK_NB, O_DIRECTORY, O_NOFOLLOW, O_RDONLY } from "../../../bindings/abi/fcntl.ts";
import { trySyscall } from "../../../bindings/ffi/syscall.ts";
import { fstatSync, statSync } from "../../../bindings/linux/file-status.ts";
import { closeSync, openSync } from "../../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { sleep } from "../../../bindings/linux/sleep.ts";
import { errorCode, RuntsError } from "../../errors.ts";
import type { GlobalOptions } from "../context.ts";
import { checkId, containerDirectory, doesNotExist, type SavedState, tryReadState } from "./saved-state.ts";
import { type Status, statusOf } from "./status.ts";

/** How long an operation waits for another one on the same container. */
const TIMEOUT_MS = 30_000;
const RETRY_MS = 5;

export interface ContainerLock {
  release(): void;
}

/**
 * Operations on one container exclude each other: each holds a lock, flock(2), on the container's directory. It ends with the
 * process, however that ends. Returns undefined if there is no such directory, or none any more once it is locked.
 */
export function lockContainer(directory: string, id: string): ContainerLock | undefined {
  return lock(directory, O_DIRECTORY, id);
}

/**
 * Changes of a running container's mounts exclude each other and `checkpoint`, by a lock of their own: a process of the runtime in the
 * container's cgroup makes them, and a container that freezes its cgroup would keep the other lock from `delete --force`, which
 * kills that process. Who takes both takes this one first.
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

/** Whether the path still is what was locked: it may have been deleted, and made anew, while we waited. */
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

/** Runs the action under the container's lock: no other operation can change the status meanwhile. */
export function withLockedContainer<T>(
  { root }: GlobalOptions,
  id: string,
  action: (container: LockedContainer) => T,
): T {
  checkId(id);
  const directory = containerDirectory(root, id);
  const lock = lockContainer(directory, id);
  if (lock === undefined) throw doesNotExist(id);
  try {
    const saved = tryReadState(directory);
    if (saved === undefined) throw doesNotExist(id);
    return action({ directory, saved, status: statusOf(directory, saved) });
  } finally {
    lock.release();
  }
}
