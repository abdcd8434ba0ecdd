import { errnoMessage, errnoName } from "../../bindings/abi/errno.ts";
import { AT_FDCWD } from "../../bindings/abi/fcntl.ts";
import { OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE } from "../../bindings/abi/mount.ts";
import { cString, trySyscall } from "../../bindings/ffi/syscall.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { mapMountIds } from "../../bindings/linux/id-mapped-mount.ts";
import { mountsOf } from "../../bindings/linux/mount-info.ts";
import { RuntsError } from "../errors.ts";

interface Refused {
  readonly source: string;
  readonly destination: string;
  readonly pointer: string;
  readonly userNamespace: number;
  readonly recursive: boolean;
}

/** Linux versions from mount_setattr(2), "ID-mapped mounts". */
const SUPPORTED_SINCE: Readonly<Record<string, string>> = {
  btrfs: "5.15",
  ceph: "6.7",
  erofs: "5.19",
  ext4: "5.12",
  f2fs: "5.18",
  hugetlbfs: "6.9",
  ntfs3: "5.15",
  squashfs: "6.2",
  tmpfs: "6.3",
  vfat: "5.12",
  xfs: "5.12",
};

/** mount_setattr(2) says EINVAL or EPERM of a whole tree: this names the mount, and why. */
export function idMapFailure(refused: Refused, errno: number): RuntsError {
  const { source, destination, pointer, userNamespace, recursive } = refused;
  const name = errnoName(errno);
  const culprit = mountsBelow(source, recursive).find(({ path }) => failsAlone(path, userNamespace, errno));
  const where = culprit === undefined ? source : `${culprit.type} at ${culprit.mountPoint}`;
  return new RuntsError(
    `${pointer}: bind ${source} on ${destination} with id mappings: ${where}: ${reason(name, culprit?.type)}`,
    { operation: "mount_setattr", errno: name, path: culprit?.mountPoint ?? source, pointer },
  );
}

function reason(errno: string, type: string | undefined): string {
  if (errno === "EINVAL" && type !== undefined) {
    const since = Object.hasOwn(SUPPORTED_SINCE, type)
      ? `, which it does since Linux ${SUPPORTED_SINCE[type]}`
      : "";
    return `the file system does not support id-mapped mounts on this kernel${since}`;
  }
  if (errno === "EPERM") {
    return "the mount has an id mapping already, or the caller lacks CAP_SYS_ADMIN in the user namespace of the file system";
  }
  return errnoMessage(errno);
}

interface MountBelow {
  /** The source itself, or a mount point below it. */
  readonly path: string;
  readonly mountPoint: string;
  readonly type: string;
}

/** The mount that the source lies on, and with `recursive` those below it. */
function mountsBelow(source: string, recursive: boolean): MountBelow[] {
  // The last one listed of several mounts at one place covers the others.
  const below = new Map<string, MountBelow>();
  let own: MountBelow | undefined;
  for (const { point: mountPoint, type } of mountsOf("self")) {
    const holds = mountPoint === "/" || `${source}/`.startsWith(`${mountPoint}/`);
    if (holds && mountPoint.length >= (own?.mountPoint.length ?? 0)) own = { path: source, mountPoint, type };
    else if (recursive && mountPoint.startsWith(`${source}/`))
      below.set(mountPoint, { path: mountPoint, mountPoint, type });
  }
  return own === undefined ? [...below.values()] : [own, ...below.values()];
}

function failsAlone(path: string, userNamespace: number, errno: number): boolean {
  const copy = trySyscall("open_tree", AT_FDCWD, cString(path), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (copy < 0) return false;
  try {
    return mapMountIds(copy, userNamespace, false) === errno;
  } finally {
    closeSync(copy);
  }
}
