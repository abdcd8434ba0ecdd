import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH } from "../../../bindings/abi/fcntl.ts";
import { MNT_DETACH } from "../../../bindings/abi/mount.ts";
import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { cString, syscall } from "../../../bindings/ffi/syscall.ts";
import { closeSync, openSync } from "../../../bindings/linux/files.ts";
import { mountIdOf, mountsOf } from "../../../bindings/linux/mount-info.ts";
import type { SavedHostMount } from "../record/saved-state.ts";

export function hostMountAt(rootfs: string): SavedHostMount {
  const directory = openDirectory(rootfs);
  try {
    return { rootfs, below: mountIdOf("self", directory) };
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
    if (!isMountOn(mountIdOf("self", directory), rootfs, below)) return;
    withPurpose("/root/path", `unmount ${rootfs}`, () =>
      syscall("umount2", [cString(`/proc/self/fd/${directory}`), MNT_DETACH], [rootfs, "MNT_DETACH"]),
    );
  } finally {
    closeSync(directory);
  }
}

function openDirectory(path: string): number {
  return openSync(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

function isMountOn(mount: number, rootfs: string, below: number): boolean {
  return mountsOf("self").some(
    ({ id, parent, point }) => id === mount && parent === below && point === rootfs,
  );
}
