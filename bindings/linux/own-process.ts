import { ENOENT, errnoName } from "../abi/errno.ts";
import { PATH_MAX } from "../abi/limits.ts";
import { lastErrno, loadLibrary } from "../ffi/koffi.ts";
import { cString, trySyscall } from "../ffi/syscall.ts";
import { FileError, fileCall } from "./file-call.ts";

/**
 * The process that this program runs in: the one place that knows it. The engine remembers what it once was told (`process.pid`,
 * `process.cwd()`, `process.env`), and a program that is resumed from memory would be told of the process that was written down.
 * So the kernel is asked each time, and the environment is the one that was handed over.
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
 * The working directory, as an absolute path. Throws FileError: ENOENT where it was removed, or can't be reached from the root directory;
 * ENAMETOOLONG. getcwd(2)
 */
export function workingDirectory(): string {
  const buffer = Buffer.allocUnsafe(PATH_MAX);
  const attempt = { operation: "getcwd" };
  const length = fileCall(attempt, "getcwd", buffer, PATH_MAX);
  const path = buffer.toString("utf8", 0, length - 1);
  // "(unreachable)/…", which is no path.
  if (!path.startsWith("/")) throw new FileError(errnoName(ENOENT), attempt.operation);
  return path;
}

/** Entries as environ(7) has them, in their order; undefined as long as the engine's own are right. */
let adopted: readonly string[] | undefined;

/** From now on the environment is this one, of `NAME=value` texts: that of the process in which a remembered program goes on. */
export function adoptEnvironment(entries: readonly string[]): void {
  adopted = entries;
}

/** Value of an environment variable, maybe empty; undefined if it is not set. Of several of the name the first: getenv(3). */
export function environment(name: string): string | undefined {
  if (adopted === undefined) return process.env[name];
  const start = `${name}=`;
  return adopted.find((entry) => entry.startsWith(start))?.slice(start.length);
}

/** All of the environment, for a program that inherits it. */
export function wholeEnvironment(): Readonly<Record<string, string | undefined>> {
  return adopted === undefined ? process.env : Object.fromEntries(variables(adopted));
}

/**
 * C libraries read what environ(7) points to, which the engine leaves as it was at its start: a library that is going to look there is
 * given what was adopted, all of it and nothing else. Throws FileError where there is no memory left.
 */
export function giveEnvironmentToLibraries(): void {
  if (adopted === undefined) return;
  const library = loadLibrary(null);
  library.func("int clearenv(void)")();
  const setenv = library.func("int setenv(void *name, void *value, int overwrite)");
  for (const [name, value] of variables(adopted))
    if (Number(setenv(cString(name), cString(value), 1)) !== 0)
      throw new FileError(errnoName(lastErrno()), "setenv", name);
}

/** Names and values, of several of a name the first one last. What is no variable, as it has no name, is left out. */
function variables(entries: readonly string[]): [name: string, value: string][] {
  return entries.toReversed().flatMap((entry): [string, string][] => {
    const end = entry.indexOf("=");
    return end > 0 ? [[entry.slice(0, end), entry.slice(end + 1)]] : [];
  });
}
