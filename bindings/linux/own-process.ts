import { ENOENT, errnoName } from "../abi/errno.ts";
import { PATH_MAX } from "../abi/limits.ts";
import { lastErrno, loadLibrary } from "../ffi/koffi.ts";
import { cString, trySyscall } from "../ffi/syscall.ts";
import { FileError, fileCall } from "./file-call.ts";

/**
 * Facts about this process. Ask here, never the engine: `process.pid`, `process.cwd()` and `process.env` are cached, and in a program that is
 * resumed from a memory image they describe the process that was written to it. These functions ask the kernel each time, and know the
 * environment that the launcher passed on.
 */

/** pid_t getpid(void): getpid(2) */
export function ownPid(): number {
  return trySyscall("getpid");
}

/** uid_t geteuid(void): geteuid(2) */
export function effectiveUid(): number {
  return trySyscall("geteuid");
}

/** gid_t getegid(void): getegid(2) */
export function effectiveGid(): number {
  return trySyscall("getegid");
}

/**
 * The working directory, as an absolute path. Throws FileError: ENOENT if it was removed or can't be reached from the root directory;
 * ENAMETOOLONG. getcwd(2)
 */
export function workingDirectory(): string {
  const buffer = Buffer.allocUnsafe(PATH_MAX);
  const attempt = { operation: "getcwd" };
  const length = fileCall(attempt, "getcwd", buffer, PATH_MAX);
  const path = buffer.toString("utf8", 0, length - 1);
  // The kernel writes "(unreachable)/…" for a directory outside of the root.
  if (!path.startsWith("/")) throw new FileError(errnoName(ENOENT), attempt.operation);
  return path;
}

/** Entries as in environ(7), in their order; undefined in a process that was not resumed, where the engine's are right. */
let adopted: readonly string[] | undefined;

/** Makes this the environment, as `NAME=value` texts: that of the process in which a program is resumed from its memory image. */
export function adoptEnvironment(entries: readonly string[]): void {
  adopted = entries;
}

/** Value of an environment variable, maybe empty; undefined if it is not set. The first entry with the name counts: getenv(3). */
export function environment(name: string): string | undefined {
  if (adopted === undefined) return process.env[name];
  const start = `${name}=`;
  return adopted.find((entry) => entry.startsWith(start))?.slice(start.length);
}

/** The whole environment, for a program that inherits it. */
export function wholeEnvironment(): Readonly<Record<string, string | undefined>> {
  return adopted === undefined ? process.env : Object.fromEntries(variables(adopted));
}

/**
 * Sets the C environment (environ(7)) to the adopted one. Call this before a C library that reads it: the engine leaves it as it was at its
 * start. Throws FileError if memory runs out.
 */
export function exportEnvironment(): void {
  if (adopted === undefined) return;
  const library = loadLibrary(null);
  library.func("int clearenv(void)")();
  const setenv = library.func("int setenv(void *name, void *value, int overwrite)");
  for (const [name, value] of variables(adopted))
    if (Number(setenv(cString(name), cString(value), 1)) !== 0)
      throw new FileError(errnoName(lastErrno()), "setenv", name);
}

/** Names and values in reverse order, so that the first entry with a name is set last and counts. Entries without a name are left out. */
function variables(entries: readonly string[]): [name: string, value: string][] {
  return entries.toReversed().flatMap((entry): [string, string][] => {
    const end = entry.indexOf("=");
    return end > 0 ? [[entry.slice(0, end), entry.slice(end + 1)]] : [];
  });
}
