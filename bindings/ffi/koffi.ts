import { closeSync, fstatSync, openSync, readlinkSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

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

/** Where the native file may be: beside the executable, or in the installed package when the sources run under an engine. */
function nativeFileCandidates(): string[] {
  const arch = process.arch;
  const inPackage = join("node_modules", "@koromix", `koffi-linux-${arch}`, `linux_${arch}`, "koffi.node");
  const here = import.meta.dirname ?? "/";
  return [
    join(executableDirectory(), "koffi.node"),
    join(here, "koffi.node"),
    join(here, "..", "..", inPackage),
  ];
}

function executableDirectory(): string {
  return dirname(readlinkSync("/proc/self/exe"));
}

/**
 * Root, the caller, and whoever owns the executable, who decides what runs anyway: in a user namespace that doesn't map the host's
 * root, as that of rootless podman, this is how his files are known.
 */
function isTrusted(uid: number): boolean {
  return uid === 0 || uid === process.getuid?.() || uid === statSync("/proc/self/exe").uid;
}

/** Opens the first of the files that exists. Refuses one that somebody else than these could have written. */
function openTrusted(candidates: readonly string[]): number | undefined {
  for (const candidate of candidates) {
    let fd: number;
    try {
      fd = openSync(candidate, "r");
    } catch {
      continue;
    }
    const { uid, mode } = fstatSync(fd);
    if (isTrusted(uid) && (mode & 0o022) === 0) return fd;
    closeSync(fd);
    throw new Error(`${candidate} can be written by other users: refusing to load it`);
  }
  return undefined;
}

function load(): Koffi {
  if (koffi === undefined) {
    const module: { exports: unknown } = { exports: {} };
    const candidates = nativeFileCandidates();
    const fd = openTrusted(candidates);
    if (fd === undefined) throw new Error(`koffi.node was not found; looked for ${candidates.join(", ")}`);
    const runtime = openTrusted([join(executableDirectory(), CXX_RUNTIME)]);
    // By their descriptors: what was checked is what is loaded, whoever may replace the path meanwhile. Both are open at once, since
    // the dynamic linker takes a file of the same name for the same library.
    if (runtime !== undefined) process.dlopen({ exports: {} }, `/proc/self/fd/${runtime}`);
    process.dlopen(module, `/proc/self/fd/${fd}`);
    if (runtime !== undefined) closeSync(runtime);
    closeSync(fd);
    koffi = module.exports as Koffi;
  }
  return koffi;
}

/** Loads a shared library by its soname; `null` is the C library that the engine itself is linked to. */
export function loadLibrary(name: string | null): NativeLibrary {
  return load().load(name);
}

/** errno of the last native call. Nothing may stand between the call and this: any file operation of the engine changes it. */
export function lastErrno(): number {
  return load().errno();
}

/** Address of a buffer's first byte. The buffer must stay referenced, and must not be resized, while the kernel uses it. */
export function addressOf(buffer: Uint8Array): bigint {
  return load().address(buffer);
}
