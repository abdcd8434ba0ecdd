import { EPERM } from "../../bindings/abi/errno.ts";
import { O_ACCMODE, O_APPEND, O_CREAT, O_TRUNC } from "../../bindings/abi/fcntl.ts";
import { syscallNumbers } from "../../bindings/abi/syscall-numbers.generated.ts";
import type { NativeArgument } from "../../bindings/ffi/koffi.ts";

type Koffi = typeof import("../../bindings/ffi/koffi.ts");

const numbers = process.arch === "arm64" ? syscallNumbers.arm64 : syscallNumbers.x64;

/** System calls that change nothing outside of the calling process. */
const HARMLESS = new Set<unknown>(
  (
    [
      "capget",
      "close",
      "dup3",
      "faccessat2",
      "fcntl",
      "flock",
      "fstat",
      "fstatfs",
      "getcwd",
      "getdents64",
      "getegid",
      "geteuid",
      "getgid",
      "getpid",
      "getuid",
      "lseek",
      "newfstatat",
      "openat2",
      "pread64",
      "read",
      "readlinkat",
      "statfs",
      "statx",
      "uname",
      // Only to descriptors that were open before, or that isHarmless allowed to open.
      "write",
    ] as const
  ).map((name) => numbers[name]),
);

function isHarmless([number, , , flags]: readonly unknown[]): boolean {
  if (number !== numbers.openat) return HARMLESS.has(number);
  const bits = Number(flags);
  // Only logs are appended to.
  return (bits & O_APPEND) !== 0 || (bits & (O_ACCMODE | O_CREAT | O_TRUNC)) === 0;
}

/**
 * The koffi module as `vi.mock` takes it, on a machine where nothing can be changed: calls that would change it fail with EPERM, no
 * program is started, and libsystemd is not installed.
 */
export async function readOnlyKernel(original: () => Promise<Koffi>): Promise<Koffi> {
  const koffi = await original();
  let refused = false;
  return {
    ...koffi,
    lastErrno: () => (refused ? EPERM : koffi.lastErrno()),
    loadLibrary: (name) => {
      if (name?.startsWith("libsystemd") === true) throw new Error(`${name}: not installed`);
      const library = koffi.loadLibrary(name);
      return {
        func: (prototype) => {
          const call = library.func(prototype);
          const isSyscall = prototype.startsWith("int64_t syscall(");
          const guarded = (...args: readonly (NativeArgument | string)[]) => {
            if (prototype.startsWith("int posix_spawn(")) return EPERM;
            refused = isSyscall && !isHarmless(args);
            return refused ? -1 : call(...args);
          };
          return Object.assign(guarded, { async: call.async });
        },
      };
    },
  };
}
