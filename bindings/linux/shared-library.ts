import { loadLibrary, type NativeLibrary } from "../ffi/koffi.ts";
import { SyscallError } from "../syscall-error.ts";

/** Loads a library by its soname that a host may lack: throws SyscallError `dlopen` then, with the linker's words as the cause. */
export function openLibrary(soname: string): NativeLibrary {
  try {
    return loadLibrary(soname);
  } catch (cause) {
    const error = new SyscallError("dlopen", "ENOENT", [soname]);
    error.cause = cause;
    throw error;
  }
}
