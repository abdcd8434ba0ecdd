import { EINTR, errnoMessage, errnoName } from "../abi/errno.ts";
import type { NativeArgument } from "../ffi/koffi.ts";
import { type SyscallName, trySyscall } from "../ffi/syscall.ts";

/** A failed file operation, with the fields and the message of node:fs's errors. */
export class FileError extends Error {
  /** errno name: `ENOENT`. */
  readonly code: string;
  /** The operation, as node:fs calls it: `open`. */
  readonly syscall: string;
  readonly path: string | undefined;

  constructor(code: string, syscall: string, path?: string) {
    super(`${code}: ${errnoMessage(code)}, ${syscall}${path === undefined ? "" : ` '${path}'`}`);
    this.name = "FileError";
    this.code = code;
    this.syscall = syscall;
    this.path = path;
  }
}

/** Name of an operation in errors, and the path that it was given. */
export interface Attempt {
  readonly operation: string;
  readonly path?: string;
}

/** Makes a system call, again if a signal interrupts it. Throws FileError if it fails. */
export function fileCall(attempt: Attempt, name: SyscallName, ...args: readonly NativeArgument[]): number {
  let result: number;
  do result = trySyscall(name, ...args);
  while (result === -EINTR);
  if (result < 0) throw new FileError(errnoName(-result), attempt.operation, attempt.path);
  return result;
}
