import { IN_CLOEXEC, IN_MODIFY, IN_NONBLOCK } from "../abi/inotify.ts";
import { cString, syscall } from "../ffi/syscall.ts";
import { FileError } from "./file-call.ts";
import { closeSync, readSync } from "./files.ts";

/** Watches a file for being modified: the descriptor can be read as soon as it was. inotify(7) */
export function watchModifications(path: string): number {
  const fd = syscall("inotify_init1", [IN_CLOEXEC | IN_NONBLOCK]);
  try {
    syscall("inotify_add_watch", [fd, cString(path), IN_MODIFY], [path]);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Takes what a watch has to tell: it can be read again after the next modification. */
export function takeModifications(fd: number): void {
  const events = Buffer.alloc(4096);
  try {
    while (readSync(fd, events) === events.length);
  } catch (error) {
    if (!(error instanceof FileError) || error.code !== "EAGAIN") throw error;
  }
}
