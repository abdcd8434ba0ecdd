import { nulTerminated } from "../abi/c-string.ts";
import { errnoName } from "../abi/errno.ts";
import { syscallNumbers } from "../abi/syscall-numbers.generated.ts";
import { SyscallError } from "../syscall-error.ts";
import { lastErrno, loadLibrary, type NativeArgument, type NativeFunction } from "./koffi.ts";

export type SyscallName = keyof typeof syscallNumbers.x64;
export type SyscallNumbers = Readonly<Record<SyscallName, number>>;

let invoke: NativeFunction | undefined;

/** Answers system calls in place of the kernel. */
export type Kernel = (name: SyscallName, args: readonly NativeArgument[]) => number;

let substitute: Kernel | undefined;

/** From now on all system calls go to this one: for telling what would be done, without doing it. undefined: to the kernel again. */
export function substituteKernel(kernel: Kernel | undefined): void {
  substitute = kernel;
}

/** For a substitute that wants the kernel's own answer. */
export function callKernel(name: SyscallName, args: readonly NativeArgument[]): number {
  return onKernel(() => trySyscall(name, ...args));
}

/** As callKernel, for what takes several calls. */
export function onKernel<T>(action: () => T): T {
  const current = substitute;
  substitute = undefined;
  try {
    return action();
  } finally {
    substitute = current;
  }
}

/** System call numbers of this machine's architecture. */
export const numbers: SyscallNumbers = process.arch === "arm64" ? syscallNumbers.arm64 : syscallNumbers.x64;

/**
 * `long syscall(long number, ...)`, syscall(2). Returns the result, or the negative errno value of a failure: nothing may
 * stand between the call and the reading of errno.
 */
export function trySyscall(name: SyscallName, ...args: readonly NativeArgument[]): number {
  if (substitute !== undefined) return substitute(name, args);
  invoke ??= loadLibrary(null).func(
    "int64_t syscall(int64_t nr, void *a, void *b, void *c, void *d, void *e, void *f)",
  );
  const result = Number(
    invoke(
      numbers[name],
      args[0] ?? null,
      args[1] ?? null,
      args[2] ?? null,
      args[3] ?? null,
      args[4] ?? null,
      args[5] ?? null,
    ),
  );
  return result === -1 ? -lastErrno() : result;
}

/** As trySyscall, but a failure throws a SyscallError; `shown` are the decoded arguments for its text. */
export function syscall(
  name: SyscallName,
  args: readonly NativeArgument[],
  shown: readonly string[] = [],
): number {
  const result = trySyscall(name, ...args);
  if (result < 0) throw new SyscallError(name, errnoName(-result), shown);
  return result;
}

/** A path or name as the kernel takes it: NUL-terminated, text in UTF-8. A NUL inside would cut it short, so it is refused. */
export function cString(text: string | Uint8Array): Uint8Array {
  if (typeof text === "string" ? text.includes("\0") : text.includes(0))
    throw new SyscallError("path", "EINVAL", ["a NUL byte in a path"]);
  return nulTerminated(text);
}
