import { IN_CLOEXEC, IN_DELETE_SELF, IN_MODIFY, IN_NONBLOCK, IN_OPEN } from "../abi/inotify.ts";
import { cString, syscall } from "../ffi/syscall.ts";
import { FileError } from "./file-call.ts";
import { closeSync, readSync } from "./files.ts";

/** Watches a file: the returned descriptor becomes readable when the file is modified. inotify(7) */
export function watchModifications(path: string): number {
  return watch(path, IN_MODIFY, IN_CLOEXEC | IN_NONBLOCK);
}

/** Watches a file: a read(2) of the returned descriptor waits until somebody opens the file. inotify(7) */
export function watchOpens(path: string): number {
  return watch(path, IN_OPEN, IN_CLOEXEC);
}

function watch(path: string, events: number, flags: number): number {
  const fd = syscall("inotify_init1", [flags]);
  try {
    syscall("inotify_add_watch", [fd, cString(path), events], [path]);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Reads all pending events of a watch, so that it becomes readable only at the next modification. */
export function takeModifications(fd: number): void {
  const events = Buffer.alloc(4096);
  try {
    while (readSync(fd, events) === events.length);
  } catch (error) {
    if (!(error instanceof FileError) || error.code !== "EAGAIN") throw error;
  }
}

/** Watches a directory: a read(2) of the returned descriptor waits until the directory is deleted. inotify(7) */
export function watchDeletion(directory: string): number {
  const fd = syscall("inotify_init1", [IN_CLOEXEC]);
  try {
    syscall("inotify_add_watch", [fd, cString(directory), IN_DELETE_SELF], [directory]);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
