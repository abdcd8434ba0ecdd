import { shownName } from "../../bindings/abi/c-string.ts";
import { errnoMessage } from "../../bindings/abi/errno.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH, O_WRONLY } from "../../bindings/abi/fcntl.ts";
import { subdirectories, walkTree } from "../../bindings/linux/directories.ts";
import { statfsSync } from "../../bindings/linux/file-status.ts";
import { closeSync, openSync, readFileSync, readSync, writeSync } from "../../bindings/linux/files.ts";
import { openBeneath } from "../../bindings/linux/open-beneath.ts";
import { errorCode, RuntsError } from "../errors.ts";

/** The only supported mount point of cgroup v2: systemd mounts it here, and every engine expects it here. */
export const CGROUP_MOUNT = "/sys/fs/cgroup";

/** linux/magic.h */
export const CGROUP2_SUPER_MAGIC = 0x63677270;

/** An errno's name as text for messages: `permission denied (EACCES)`. */
export function describeErrno(code: string): string {
  return `${errnoMessage(code)} (${code})`;
}

/** The cgroup's path below the mount point, as messages show it. */
export function cgroupName(directory: string): string {
  return directory.startsWith(`${CGROUP_MOUNT}/`) ? directory.slice(CGROUP_MOUNT.length) : directory;
}

/** Directories from the root cgroup down to and including this one. */
export function cgroupsFromRoot(directory: string): string[] {
  const cgroups = [CGROUP_MOUNT];
  for (const name of directory.slice(CGROUP_MOUNT.length + 1).split("/")) {
    cgroups.push(`${cgroups[cgroups.length - 1]}/${name}`);
  }
  return cgroups;
}

/** Content of a control file of at most `capacity` bytes. One read(2) is enough: the kernel returns such a file in one piece. */
export function readCgroupFile(directory: string, file: string, capacity = 4096): string {
  const fd = openSync(`${directory}/${file}`, "r");
  try {
    const buffer = Buffer.allocUnsafe(capacity);
    return buffer.toString("latin1", 0, readSync(fd, buffer));
  } finally {
    closeSync(fd);
  }
}

/** Whether the error says that the file or the cgroup does not exist (ENODEV: removed after it was opened). */
export function isGone(error: unknown): boolean {
  return ["ENOENT", "ENODEV", "ENOTDIR"].includes(errorCode(error));
}

/** Like readCgroupFile; undefined where the file or the cgroup does not exist. */
export function tryReadCgroupFile(directory: string, file: string): string | undefined {
  try {
    return readCgroupFile(directory, file);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** The words of a one-line control file; none where the file or the cgroup does not exist. */
export function readWords(directory: string, file: string): string[] {
  const text = tryReadCgroupFile(directory, file)?.trim() ?? "";
  return text === "" ? [] : text.split(" ");
}

/**
 * Writes with one write(2), as the kernel takes each write as one setting. Opens without O_CREAT, so that a missing file is ENOENT and
 * not EPERM, and for writing only, as only root may read cgroup.kill. Writes nothing but files of the cgroup2 mount itself,
 * whatever is mounted over a part of it and whatever a state file says.
 */
export function writeCgroupFile(directory: string, file: string, value: string): void {
  const path = `${directory}/${file}`;
  if (!path.startsWith(`${CGROUP_MOUNT}/`)) {
    throw new RuntsError(`${directory} is not a cgroup below ${CGROUP_MOUNT}`, { operation: "open", path });
  }
  const fd = openBelowRoot(path.slice(CGROUP_MOUNT.length + 1));
  try {
    writeSync(fd, value);
  } finally {
    closeSync(fd);
  }
}

/** Opens a file of the cgroup2 mount for writing. Checks the mount each time, so nothing is remembered between writes. */
function openBelowRoot(path: string): number {
  const root = openSync(CGROUP_MOUNT, O_PATH | O_DIRECTORY | O_CLOEXEC);
  try {
    if (statfsSync(`/proc/self/fd/${root}`).type !== CGROUP2_SUPER_MAGIC) {
      throw new RuntsError(`${CGROUP_MOUNT} is not a cgroup2 file system`, {
        operation: "statfs",
        path: CGROUP_MOUNT,
      });
    }
    return openBeneath(root, path, O_WRONLY | O_CLOEXEC);
  } finally {
    closeSync(root);
  }
}

/** Visits a cgroup and then its descendants, whatever their names and depth, each by a path through its descriptor. */
export function visitCgroups(directory: string, visit: (directory: string) => void): void {
  walkTree(directory, {
    enter: (cgroup) => {
      visit(`/proc/self/fd/${cgroup}`);
      return subdirectories(cgroup);
    },
  });
}

/** Process ids of a cgroup and its descendants. */
export function processesOf(directory: string): number[] {
  const pids: number[] = [];
  try {
    visitCgroups(directory, (cgroup) => {
      // One by one: there may be more pids than a call takes arguments.
      for (const pid of ownProcesses(cgroup)) pids.push(pid);
    });
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  return pids;
}

/** Process ids of the cgroup itself. For a threaded cgroup, whose cgroup.procs can't be read, these are its thread ids. */
export function ownProcesses(directory: string): number[] {
  const text = tryReadList(directory, "cgroup.procs") ?? tryReadList(directory, "cgroup.threads") ?? "";
  // The kernel lists a process outside of this pid namespace as 0.
  return text.split("\n").filter(Boolean).map(Number);
}

/** The first ten processes for a message: `12 (sh, state S), 13 (nfsd, state D)`. */
export function describeProcesses(pids: readonly number[]): string {
  const shown = pids.slice(0, 10).map(describeProcess);
  return pids.length > shown.length
    ? `${shown.join(", ")} and ${pids.length - shown.length} more`
    : shown.join(", ");
}

/** `12 (sh, state S)`: proc(5), /proc/pid/stat. The process chooses its name, so the name is escaped. */
function describeProcess(pid: number): string {
  const found = tryNameAndState(pid);
  return found === undefined
    ? String(pid)
    : `${pid} (${shownName(Buffer.from(found.name, "latin1"))}, state ${found.state})`;
}

/** Whether the main thread has exited. In a cgroup, other threads then still run: a process that has ended is in no cgroup. */
export function isZombie(pid: number): boolean {
  return tryNameAndState(pid)?.state === "Z";
}

/** Undefined for a process that is gone. */
function tryNameAndState(pid: number): { readonly name: string; readonly state: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const end = stat.lastIndexOf(")");
    return { name: stat.slice(stat.indexOf("(") + 1, end), state: stat.charAt(end + 2) };
  } catch {
    return undefined;
  }
}

function tryReadList(directory: string, file: string): string | undefined {
  try {
    return readFileSync(`${directory}/${file}`, "latin1");
  } catch (error) {
    if (["ENOENT", "ENODEV", "EOPNOTSUPP", "ENOTSUP"].includes(errorCode(error))) return undefined;
    throw error;
  }
}
