/**
 * Loads koffi; no other file does. Its native file is loaded directly, since its JavaScript index costs 15 ms at start-up, and Bun would
 * extract an embedded native file to a predictable name in /tmp.
 */

/** An argument of a C function: an integer, or a buffer whose address is passed. `null` is the null pointer. */
export type NativeArgument = number | bigint | Uint8Array | null;

/** A C function that returns an integer. */
export type NativeFunction = ((...args: readonly (NativeArgument | string)[]) => number | bigint) & {
  /** Calls the function in a thread of the engine's pool, and then the callback, which is the last argument. */
  async: (...args: readonly unknown[]) => void;
};

export interface NativeLibrary {
  /** Binds a function by its C prototype. `void *` parameters take both integers and buffers. */
  func(prototype: string): NativeFunction;
}

interface Koffi {
  load(name: string | null): NativeLibrary;
  errno(): number;
  address(buffer: Uint8Array): bigint;
}

let koffi: Koffi | undefined;

/** The C++ runtime that is loaded before koffi, built from bindings/cxx-runtime. Without it koffi needs the host's libstdc++. */
const CXX_RUNTIME = "koffi-cxx.so";

interface NativeFiles {
  readonly koffi: number;
  readonly cxxRuntime: number | undefined;
}

/** The native files that the launcher has opened. It passes them on only if no other user could have written them. */
function handedFiles(): NativeFiles | undefined {
  // process.env is right here, even in a resumed program: only the process in which the engine was started loads koffi.
  const { RUNTS_KOFFI, RUNTS_KOFFI_CXX } = process.env;
  if (RUNTS_KOFFI === undefined) return undefined;
  // If the launcher passed none, the file is missing, which is allowed, or not trusted, which openCxxRuntime reports.
  const cxxRuntime = RUNTS_KOFFI_CXX === undefined ? openCxxRuntime() : Number(RUNTS_KOFFI_CXX);
  return { koffi: Number(RUNTS_KOFFI), cxxRuntime };
}

function load(): Koffi {
  if (koffi === undefined) {
    const module: { exports: unknown } = { exports: {} };
    const files = handedFiles() ?? openNativeFiles();
    // Loaded by descriptor, so that the checked files are the loaded ones even if somebody replaces the paths. Both are open at the same
    // time, since the dynamic linker takes two files with the same name for the same library.
    const { cxxRuntime } = files;
    if (cxxRuntime !== undefined) process.dlopen({ exports: {} }, `/proc/self/fd/${cxxRuntime}`);
    process.dlopen(module, `/proc/self/fd/${files.koffi}`);
    koffi = module.exports as Koffi;
    const close = koffi.load(null).func("int close(int fd)");
    if (cxxRuntime !== undefined) close(cxxRuntime);
    close(files.koffi);
  }
  return koffi;
}

/**
 * Opens the native files in a process that the launcher did not start. node:fs and node:path are loaded here, on demand: that takes longer than
 * everything that the usual start does.
 */
function openNativeFiles(): NativeFiles {
  const { join } = process.getBuiltinModule("node:path");
  const arch = process.arch;
  const inPackage = join("node_modules", "@koromix", `koffi-linux-${arch}`, `linux_${arch}`, "koffi.node");
  const here = import.meta.dirname ?? "/";
  const candidates = [
    join(executableDirectory(), "koffi.node"),
    join(here, "koffi.node"),
    join(here, "..", "..", inPackage),
  ];
  const file = openTrusted(candidates);
  if (file === undefined) throw new Error(`koffi.node was not found; looked for ${candidates.join(", ")}`);
  return { koffi: file, cxxRuntime: openCxxRuntime() };
}

function openCxxRuntime(): number | undefined {
  return openTrusted([`${executableDirectory()}/${CXX_RUNTIME}`]);
}

function executableDirectory(): string {
  const executable = process.getBuiltinModule("node:fs").readlinkSync("/proc/self/exe");
  return process.getBuiltinModule("node:path").dirname(executable);
}

/**
 * Opens the first candidate that exists. Throws if users other than root, the caller and the owner of the executable could have written it.
 * The executable's owner decides what runs anyway, and may be the host's root in a user namespace that doesn't map it, such as rootless
 * podman's. launcher.c has the same rule.
 */
function openTrusted(candidates: readonly string[]): number | undefined {
  const fs = process.getBuiltinModule("node:fs");
  for (const candidate of candidates) {
    let fd: number;
    try {
      fd = fs.openSync(candidate, "r");
    } catch {
      continue;
    }
    const { uid, mode } = fs.fstatSync(fd);
    const trusted = [0, process.getuid?.(), fs.statSync("/proc/self/exe").uid];
    if (trusted.includes(uid) && (mode & 0o022) === 0) return fd;
    fs.closeSync(fd);
    throw new Error(`${candidate} can be written by other users: refusing to load it`);
  }
  return undefined;
}

/** Loads a shared library by its soname; `null` means the C library that the engine itself is linked with. */
export function loadLibrary(name: string | null): NativeLibrary {
  return load().load(name);
}

/** errno of the last native call. Call this right after it: any file operation of the engine changes errno. */
export function lastErrno(): number {
  return load().errno();
}

/** Copies `size` bytes between buffers, or addresses of buffers, of this process. Neither length is checked. memcpy(3) */
export function copyMemory(to: bigint | Uint8Array, from: bigint | Uint8Array, size: number): void {
  load().load(null).func("void memcpy(void *to, void *from, size_t size)")(to, from, size);
}

/** Address of a buffer's first byte. The buffer must stay referenced, and must not be resized, while the kernel uses it. */
export function addressOf(buffer: Uint8Array): bigint {
  return load().address(buffer);
}
