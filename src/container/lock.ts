import { LOCK_EX, LOCK_NB, O_DIRECTORY, O_NOFOLLOW, O_RDONLY } from "../../bindings/abi/fcntl.ts";
import { trySyscall } from "../../bindings/ffi/syscall.ts";
import { fstatSync, statSync } from "../../bindings/linux/file-status.ts";
import { closeSync, openSync } from "../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import { sleep } from "../cgroup/clock.ts";
import { errorCode, RuntsError } from "../errors.ts";

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
  const fd = openDirectory(directory);
  if (fd === undefined) return undefined;
  const deadline = Date.now() + TIMEOUT_MS;
  while (trySyscall("flock", fd, LOCK_EX | LOCK_NB) < 0) {
    if (Date.now() > deadline) {
      closeSync(fd);
      throw new RuntsError(
        `container ${id}: another operation on it has not ended for ${TIMEOUT_MS / 1000} s`,
        {
          operation: "flock",
          errno: "ETIMEDOUT",
          path: directory,
        },
      );
    }
    sleep(RETRY_MS);
  }
  if (!isStill(directory, fd)) {
    closeSync(fd);
    return undefined;
  }
  const held = new OwnedDescriptor(fd);
  return { release: () => held.close() };
}

function openDirectory(directory: string): number | undefined {
  try {
    return openSync(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error))) return undefined;
    throw error;
  }
}

/** Whether the path still is the directory that was locked: it may have been deleted, and made anew, while we waited. */
function isStill(directory: string, fd: number): boolean {
  try {
    const now = statSync(directory, { throwIfNoEntry: false });
    return now !== undefined && now.ino === fstatSync(fd).ino;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
