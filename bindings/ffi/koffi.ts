/**
 * The one place that loads koffi. Its native file is loaded directly: its JavaScript index costs 15 ms more at start-up, and
 * Bun would extract an embedded native file to a predictable name in /tmp.
 */

/** An argument of a C function: an integer, or a buffer whose address is passed. `null` is the null pointer. */
export type NativeArgument = number | bigint | Uint8Array | null;

/** A C function with an integer result. */
export type NativeFunction = ((...args: readonly (NativeArgument | string)[]) => number | bigint) & {
  /** Calls the function in a thread of the engine's pool and hands the result to the callback. */
  async: (...args: readonly unknown[]) => void;
};

export interface NativeLibrary {
  /** Binds a function by its C prototype. `void *` parameters take integers and buffers alike. */
  func(prototype: string): NativeFunction;
}

interface Koffi {
  load(name: string | null): NativeLibrary;
  errno(): number;
  address(buffer: Uint8Array): bigint;
}

let koffi: Koffi | undefined;

/** The C++ runtime that is loaded in front of koffi, made from bindings/cxx-runtime; without it the host's libstdc++ is. */
const CXX_RUNTIME = "koffi-cxx.so";

interface NativeFiles {
  readonly koffi: number;
  readonly cxxRuntime: number | undefined;
}

/** The launcher has opened them, and seen that nobody else could have written them: only then it hands them over. */
function handedFiles(): NativeFiles | undefined {
  // The engine's own environment: koffi is loaded by the process that the engine was started in, and never again.
  const { RUNTS_KOFFI, RUNTS_KOFFI_CXX } = process.env;
  if (RUNTS_KOFFI === undefined) return undefined;
  // One that was not handed over is missing, which is allowed, or not to be trusted, which has to be said.
  const cxxRuntime = RUNTS_KOFFI_CXX === undefined ? openCxxRuntime() : Number(RUNTS_KOFFI_CXX);
  return { koffi: Number(RUNTS_KOFFI), cxxRuntime };
}

function load(): Koffi {
  if (koffi === undefined) {
    const module: { exports: unknown } = { exports: {} };
    const files = handedFiles() ?? openNativeFiles();
    // By their descriptors: what was checked is what is loaded, whoever may replace the path meanwhile. Both are open at once, since
    // the dynamic linker takes a file of the same name for the same library.
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
 * Without the launcher. node:fs and node:path are got when they are needed: loading them takes longer than all that the usual way
 * does.
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
 * Opens the first of the files that exists. Refuses one that somebody else could have written than root, the caller, and whoever
 * owns the executable, who decides what runs anyway: in a user namespace that doesn't map the host's root, as that of rootless
 * podman, this is how his files are known. launcher.c has the same rule.
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

/** Loads a shared library by its soname; `null` is the C library that the engine itself is linked to. */
export function loadLibrary(name: string | null): NativeLibrary {
  return load().load(name);
}

/** errno of the last native call. Nothing may stand between the call and this: any file operation of the engine changes it. */
export function lastErrno(): number {
  return load().errno();
}

/** Copies so many bytes between buffers, or addresses of buffers, of this process; both have to be that long. memcpy(3) */
export function copyMemory(to: bigint | Uint8Array, from: bigint | Uint8Array, size: number): void {
  load().load(null).func("void memcpy(void *to, void *from, size_t size)")(to, from, size);
}

/** Address of a buffer's first byte. The buffer must stay referenced, and must not be resized, while the kernel uses it. */
export function addressOf(buffer: Uint8Array): bigint {
  return load().address(buffer);
}
