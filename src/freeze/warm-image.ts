import { spawnSync } from "node:child_process";
import {
  AT_FDCWD,
  AT_SYMLINK_FOLLOW,
  LOCK_EX,
  LOCK_NB,
  O_CLOEXEC,
  O_DIRECTORY,
  O_RDONLY,
  O_TMPFILE,
  O_WRONLY,
} from "../../bindings/abi/fcntl.ts";
import { cString, syscall, trySyscall } from "../../bindings/ffi/syscall.ts";
import { FileError, fileCall } from "../../bindings/linux/file-call.ts";
import { closeSync, openSync, readlinkSync, unlinkSync } from "../../bindings/linux/files.ts";
import { dirname } from "../../bindings/linux/paths.ts";
import { waitAnyReadable } from "../../bindings/linux/poll.ts";
import { prlimit } from "../../bindings/linux/rlimit.ts";
import { RuntsError } from "../errors.ts";
import { EngineProcess, STACK_SIZE } from "./engine-process.ts";
import { cacheInHugePages } from "./huge-pages.ts";
import { Tracee } from "./tracee.ts";
import { writeImage } from "./write-image.ts";

/** In the launcher's directory, where the launcher looks for this name. */
const IMAGE_NAME = "runts-warm";

/** An engine that is not ready after this time is taken to hang. */
const READY_TIMEOUT_MS = 60_000;

const TEST_TIMEOUT_MS = 20_000;

/** Another writer usually takes a second. */
const LOCK_TIMEOUT_MS = 30_000;
const LOCK_RETRY_MS = 20;

const IMAGE_MODE = 0o644;

/** The usual limit of descriptors. Those of the engine are between OWN_DESCRIPTORS and this. */
const MIN_DESCRIPTORS = 1024n;

/** The directory of this process's executable. */
export function installationDirectory(): string {
  return dirname(readlinkSync("/proc/self/exe"));
}

export function imagePath(): string {
  return `${installationDirectory()}/${IMAGE_NAME}`;
}

/**
 * Writes the image of a warmed-up engine, replacing an existing one, and returns its path. A writer that is killed leaves nothing behind.
 * Throws if the image can't be written or does not work.
 */
export function writeWarmImage(): string {
  checkLimit();
  const directory = installationDirectory();
  const path = `${directory}/${IMAGE_NAME}`;
  const lock = lockDirectory(directory);
  try {
    const file = openSync(directory, O_TMPFILE | O_WRONLY, IMAGE_MODE);
    try {
      freezeInto(file, `${directory}/runts-engine`);
      publish(file, path);
      testImage(directory, path);
      return path;
    } finally {
      closeSync(file);
    }
  } finally {
    closeSync(lock);
  }
}

function checkLimit(): void {
  const { hard } = prlimit(0, "RLIMIT_NOFILE");
  if (hard < MIN_DESCRIPTORS)
    throw new RuntsError(
      `warm: the hard limit of open files is ${hard}, and has to be at least ${MIN_DESCRIPTORS}`,
    );
}

/** Removes the image. False if there is none. */
export function removeWarmImage(): boolean {
  return removeImage(imagePath());
}

function removeImage(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if (error instanceof FileError && error.code === "ENOENT") return false;
    throw error;
  }
}

/** Starts a process from the image, and removes the image if that fails. */
function testImage(directory: string, path: string): void {
  const { status, signal, stdout, stderr } = spawnSync(`${directory}/runts`, ["warm", "--check"], {
    env: {},
    encoding: "utf8",
    timeout: TEST_TIMEOUT_MS,
  });
  if (status === 0) return;
  unlinkSync(path);
  const said = `${stdout}${stderr}`.trim();
  throw new RuntsError(
    `warm: a start from the new image failed: ${said || signal || `exit code ${status}`}`,
    {
      operation: "warm",
      path,
    },
  );
}

/**
 * Lets only one writer at a time into a directory. The wait is limited, as anybody who can read the directory could hold the lock for ever:
 * flock(2).
 */
function lockDirectory(directory: string): number {
  const fd = openSync(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const deadline = performance.now() + LOCK_TIMEOUT_MS;
  while (trySyscall("flock", fd, LOCK_EX | LOCK_NB) < 0) {
    if (performance.now() > deadline) {
      closeSync(fd);
      throw new RuntsError(
        `warm: another process has kept ${directory} locked for ${LOCK_TIMEOUT_MS / 1000} s`,
        { operation: "flock", errno: "ETIMEDOUT", path: directory },
      );
    }
    waitAnyReadable([], LOCK_RETRY_MS);
  }
  return fd;
}

/** Warms up an engine, stops it, and writes its memory to a file. */
function freezeInto(file: number, executable: string): void {
  const engine = new EngineProcess(executable);
  try {
    engine.awaitReady(READY_TIMEOUT_MS);
    const tracee = new Tracee(engine.pid);
    try {
      if (!tracee.stopInRead(0, performance.now() + READY_TIMEOUT_MS))
        throw new RuntsError("warm: the engine did not wait for an answer");
      const modified = Math.floor(Date.now() / 1000);
      const write = (bytes: Uint8Array, offset: number) => writeAll(file, bytes, offset);
      const cache = (offset: number, length: number) =>
        cacheInHugePages(`/proc/self/fd/${file}`, offset, length);
      const { size } = writeImage(tracee, modified, Number(STACK_SIZE), write, cache);
      fileCall({ operation: "ftruncate" }, "ftruncate", file, size);
      fileCall({ operation: "fchmod" }, "fchmod", file, IMAGE_MODE);
      const times = BigInt64Array.of(BigInt(modified), 0n, BigInt(modified), 0n);
      fileCall({ operation: "utimensat" }, "utimensat", file, null, new Uint8Array(times.buffer), 0);
    } finally {
      tracee.close();
    }
  } finally {
    engine.end();
  }
}

function writeAll(file: number, bytes: Uint8Array, offset: number): void {
  for (let written = 0; written < bytes.length; ) {
    const part = bytes.subarray(written);
    written += fileCall({ operation: "write" }, "pwrite64", file, part, part.length, offset + written);
  }
}

/** Replaces the image. Between the two calls there is none, and a start is cold. */
function publish(file: number, path: string): void {
  removeImage(path);
  syscall(
    "linkat",
    [AT_FDCWD, cString(`/proc/self/fd/${file}`), AT_FDCWD, cString(path), AT_SYMLINK_FOLLOW],
    [path],
  );
}
