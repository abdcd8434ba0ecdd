import { loadLibrary, type NativeLibrary } from "../ffi/koffi.ts";
import { SyscallError } from "../syscall-error.ts";

/** Loads an optional library by its soname. Throws SyscallError `dlopen` if the host lacks it, with the linker's message as its cause. */
export function openLibrary(soname: string): NativeLibrary {
  try {
    return loadLibrary(soname);
  } catch (cause) {
    const error = new SyscallError("dlopen", "ENOENT", [soname]);
    error.cause = cause;
    throw error;
  }
}
