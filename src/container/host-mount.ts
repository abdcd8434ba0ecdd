import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH } from "../../bindings/abi/fcntl.ts";
import { MNT_DETACH } from "../../bindings/abi/mount.ts";
import { cString, syscall } from "../../bindings/ffi/syscall.ts";
import { closeSync, openSync, readFileSync } from "../../bindings/linux/files.ts";
import { unescapeOctal } from "../plan/mount-info.ts";

/**
 * Of a container without a mount namespace of its own: its root is a mount that others see, and that stays when its processes
 * have ended. It is known by the mount that it lies on, which is there before it.
 */
export interface SavedHostMount {
  readonly rootfs: string;
  /** Id of the mount that the rootfs was on when the container was created. */
  readonly below: number;
}

export function hostMountAt(rootfs: string): SavedHostMount {
  const directory = openDirectory(rootfs);
  try {
    return { rootfs, below: mountIdOf(directory) };
  } finally {
    closeSync(directory);
  }
}

/** Unmounts the container's root with all that is mounted in it, if it is there. */
export function removeHostMount({ rootfs, below }: SavedHostMount): void {
  let directory: number;
  try {
    directory = openDirectory(rootfs);
  } catch {
    return; // nothing is mounted on what is not there
  }
  try {
    if (!isMountOn(mountIdOf(directory), rootfs, below)) return;
    syscall("umount2", [cString(`/proc/self/fd/${directory}`), MNT_DETACH], [rootfs, "MNT_DETACH"]);
  } finally {
    closeSync(directory);
  }
}

function openDirectory(path: string): number {
  return openSync(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/** proc_pid_fdinfo(5) */
function mountIdOf(directory: number): number {
  return Number(/^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${directory}`, "latin1"))?.[1]);
}

/** proc_pid_mountinfo(5): the fields are the id, that of the parent, the device, the root and the mount point. */
function isMountOn(id: number, point: string, parent: number): boolean {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .some((fields) => {
      const [own, above, , , at = ""] = fields;
      return own === String(id) && above === String(parent) && unescapeOctal(at) === point;
    });
}
