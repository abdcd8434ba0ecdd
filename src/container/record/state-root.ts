import { O_DIRECTORY, O_NOFOLLOW, O_PATH } from "../../../bindings/abi/fcntl.ts";
import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { mkdirSync } from "../../../bindings/linux/directories.ts";
import { type FileStatus, fstatSync, statSync } from "../../../bindings/linux/file-status.ts";
import { chmodSync, closeSync, openSync, readFileSync } from "../../../bindings/linux/files.ts";
import { effectiveUid, environment } from "../../../bindings/linux/own-process.ts";
import { absolutePath } from "../../../bindings/linux/paths.ts";
import { errorCode, RuntsError } from "../../errors.ts";
import type { GlobalOptions } from "../context.ts";

/**
 * The directory of all containers decides what the runtime kills, removes and executes. It is refused if anybody but its user and root
 * can write to it, sticky or not. If it doesn't exist yet, the runtime makes it.
 */
export function checkStateRoot(root: string): void {
  const stat = statSync(root, { throwIfNoEntry: false });
  if (stat !== undefined) checkOwner(root, stat);
}

function checkOwner(root: string, { uid, gid, mode }: FileStatus): void {
  const refuse = (reason: string): never => {
    throw new RuntsError(`--root ${root} ${reason}: whoever can write there controls the containers`, {
      operation: "stat",
      errno: "EPERM",
      path: root,
    });
  };
  if (uid !== 0 && uid !== effectiveUid()) refuse(`belongs to user ${uid}`);
  // By convention nobody else is in root's group and in the group of the user's own number, so that a umask of 002 does no harm.
  const othersInGroup = gid !== 0 && gid !== uid;
  if ((mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && othersInGroup))
    refuse("can be written by other users");
}

/**
 * Creates the root directory: engines name it before it exists. The only other directories that runts makes for a caller are those of criu's
 * images.
 */
export function prepareStateRoot(context: GlobalOptions): void {
  const root = openRoot(context.root);
  try {
    // Checked once more: somebody else may have made it since it was looked for.
    checkOwner(context.root, fstatSync(root));
    if (context.root === xdgRoot()) keepFromSweeping(context.root, root);
  } finally {
    closeSync(root);
  }
}

/** Opens the root directory, or makes it. If it is made here, a link in its place is refused: somebody else has put it there meanwhile. */
function openRoot(root: string): number {
  try {
    return openSync(root, O_PATH | O_DIRECTORY);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw directoryError(root, error);
  }
  makeRoot(root);
  return openSync(root, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

/** Without the sticky bit, files that are not used for hours may be swept (XDG Base Directory Specification). */
function keepFromSweeping(root: string, fd: number): void {
  try {
    withPurpose("", "keep the containers' state from being swept", () =>
      chmodSync(`/proc/self/fd/${fd}`, 0o1700),
    );
  } catch (cause) {
    throw new RuntsError(`${root} belongs to another user: is XDG_RUNTIME_DIR that of the caller?`, {
      operation: "chmod",
      errno: "EPERM",
      path: root,
      cause,
    });
  }
}

function makeRoot(root: string): void {
  try {
    withPurpose("", "make the directory of the containers' state", () =>
      mkdirSync(root, { recursive: true, mode: 0o700 }),
    );
  } catch (error) {
    throw directoryError(root, error);
  }
}

function directoryError(path: string, cause: unknown): RuntsError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const hint = path === xdgRoot() ? "; is XDG_RUNTIME_DIR that of the caller?" : "";
  return new RuntsError(`create directory: ${reason}${hint}`, { operation: "mkdir", path, cause });
}

/** Returns the absolute path of the directory of all containers: the one that the caller names, or the default of the caller's user. */
export function stateRoot(given: string | undefined): string {
  const root = given === undefined ? defaultStateRoot() : absolutePath(given);
  if (root === "/") throw new RuntsError("--root must not be the root directory");
  checkStateRoot(root);
  return root;
}

function defaultStateRoot(): string {
  if (honoursXdg()) return xdgRoot() ?? "/run/runts";
  if (effectiveUid() === 0) return "/run/runts";
  throw new RuntsError(
    "XDG_RUNTIME_DIR is not set: without it, a user who is not root names the directory of his containers by --root " +
      "(a login through systemd or elogind sets it; su and sudo don't)",
    { operation: "mkdir", errno: "ENOENT", path: "/run/runts" },
  );
}

function xdgRoot(): string | undefined {
  const directory = environment("XDG_RUNTIME_DIR");
  return directory ? absolutePath(`${directory}/runts`) : undefined;
}

/**
 * Root of the host has /run/runts. Others have no access there; among them is the root of a user namespace, who calls for
 * rootless podman (with XDG_RUNTIME_DIR as the only variable); `USER=root` says that it is the root of a container, as in nested
 * use.
 */
function honoursXdg(): boolean {
  if (!environment("XDG_RUNTIME_DIR")) return false;
  if (effectiveUid() !== 0) return true;
  return (
    environment("USER") !== "root" &&
    !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "utf8"))
  );
}
