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

/** Sends all system calls to a substitute, for `explain`, which only records them; undefined restores the kernel. */
export function substituteKernel(kernel: Kernel | undefined): void {
  substitute = kernel;
}

/** Makes a system call on the real kernel, for a substitute that needs its answer. */
export function callKernel(name: SyscallName, args: readonly NativeArgument[]): number {
  return onKernel(() => trySyscall(name, ...args));
}

/** Runs an action with the real kernel, for a substitute that needs several calls. */
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
 * Makes a system call; returns its result, or the negative errno of a failure. errno is read right after the call, before anything else can
 * change it. syscall(2)
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

/** Like trySyscall, but throws SyscallError if the call fails. `shown` are the decoded arguments for its message. */
export function syscall(
  name: SyscallName,
  args: readonly NativeArgument[],
  shown: readonly string[] = [],
): number {
  const result = trySyscall(name, ...args);
  if (result < 0) throw new SyscallError(name, errnoName(-result), shown);
  return result;
}

/** A path or name as the kernel takes it: NUL-terminated, text as UTF-8. Throws SyscallError if it contains a NUL, which would cut it short. */
export function cString(text: string | Uint8Array): Uint8Array {
  if (typeof text === "string" ? text.includes("\0") : text.includes(0))
    throw new SyscallError("path", "EINVAL", ["a NUL byte in a path"]);
  return nulTerminated(text);
}
