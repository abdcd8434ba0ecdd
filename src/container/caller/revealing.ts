import {
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
} from "../../../bindings/abi/mount.ts";
import type { MountInfo } from "../../../bindings/linux/mount-info.ts";

/**
 * Why the kernel refuses a new proc or sysfs in a mount namespace that a user namespace other than the first owns: fsmount(2) fails with EPERM
 * if it would reveal what mounts hide. mount_too_revealing and mnt_already_visible in fs/namespace.c of Linux.
 *
 * One mount of the same file system has to be wholly visible: it shows the root of the file system; nothing covers a part of it, permanently
 * empty directories aside; and the new mount is read-only if it is, with the same access times.
 */
export type Obstacle =
  /** No mount of the whole file system is there. */
  | { readonly kind: "absent" }
  /** Mounts at `points` cover parts of the mount at `place`. */
  | { readonly kind: "covered"; readonly place: string; readonly points: readonly string[] }
  /** The mount at `place` has these options, which the new one must have, too. */
  | { readonly kind: "options"; readonly place: string; readonly options: readonly string[] };

/**
 * Directories of the file systems that are permanently empty, so that a mount on them hides nothing: those that the kernel makes with
 * proc_create_mount_point, register_sysctl_mount_point and sysfs_create_mount_point.
 */
const EMPTY_DIRECTORIES: Readonly<Record<"proc" | "sysfs", readonly string[]>> = {
  proc: ["/fs/nfsd", "/openprom", "/sys/fs/binfmt_misc", "/xen"],
  sysfs: [
    "/firmware/efi/efivars",
    "/fs/bpf",
    "/fs/cgroup",
    "/fs/fuse/connections",
    "/fs/pstore",
    "/fs/resctrl",
    "/fs/selinux",
    "/fs/smackfs",
    "/hypervisor/s390",
    "/kernel/config",
    "/kernel/debug",
    "/kernel/security",
    "/kernel/tracing",
  ],
};

/** Options for access times as mountinfo shows them; none of them is strictatime. */
const ACCESS_TIMES = ["noatime", "nodiratime", "relatime"];

/**
 * The obstacle to a new mount in a new user namespace, whose copies of `mounts` can't be unmounted there; undefined if there is none.
 * `attributes` are the MOUNT_ATTR_* of the new mount.
 */
export function obstacleTo(
  type: "proc" | "sysfs",
  attributes: number,
  mounts: readonly MountInfo[],
): Obstacle | undefined {
  const whole = mounts.filter((mount) => mount.type === type && mount.root === "/");
  const obstacles: Exclude<Obstacle, { kind: "absent" }>[] = [];
  for (const mount of whole) {
    const place = mount.point;
    const points = coveredPoints(type, mount, mounts);
    const options = missingOptions(mount, attributes);
    if (points.length === 0 && options.length === 0) return undefined;
    obstacles.push(
      points.length > 0 ? { kind: "covered", place, points } : { kind: "options", place, options },
    );
  }
  return obstacles.toSorted((one, other) => distance(one) - distance(other))[0] ?? { kind: "absent" };
}

/** Number of mounts that have to go. A mount that is covered as a whole, as by a newer one, is not the one that people see. */
function distance(obstacle: Obstacle): number {
  if (obstacle.kind !== "covered") return 0;
  return obstacle.points.includes(obstacle.place) ? Infinity : obstacle.points.length;
}

function coveredPoints(
  type: "proc" | "sysfs",
  { id, point }: MountInfo,
  mounts: readonly MountInfo[],
): string[] {
  const isEmpty = (path: string) => EMPTY_DIRECTORIES[type].includes(path.slice(point.length));
  return mounts
    .filter(({ parent }) => parent === id)
    .flatMap((child) => (isEmpty(child.point) ? [] : child.point));
}

function missingOptions({ options, superOptions }: MountInfo, attributes: number): string[] {
  const isReadonly = options.includes("ro") || superOptions.includes("ro");
  const times = ACCESS_TIMES.filter((option) => options.includes(option));
  const has = accessTimesOf(attributes);
  const sameTimes = times.length === has.length && times.every((option) => has.includes(option));
  return [
    ...(isReadonly && (attributes & MOUNT_ATTR_RDONLY) === 0 ? ["ro"] : []),
    ...(sameTimes ? [] : times.length === 0 ? ["strictatime"] : times),
  ];
}

function accessTimesOf(attributes: number): string[] {
  const kind = attributes & MOUNT_ATTR__ATIME;
  return [
    ...(kind === MOUNT_ATTR_NOATIME ? ["noatime"] : []),
    ...((attributes & MOUNT_ATTR_NODIRATIME) !== 0 ? ["nodiratime"] : []),
    ...(kind !== MOUNT_ATTR_NOATIME && kind !== MOUNT_ATTR_STRICTATIME ? ["relatime"] : []),
  ];
}

const SHOWN = 4;

/** The obstacle in words, and what to do about it. */
export function obstacleText(type: "proc" | "sysfs", obstacle: Obstacle): { reason: string; fix: string } {
  const usual = type === "proc" ? "/proc" : "/sys";
  if (obstacle.kind === "absent") {
    const reason = `no mount of the whole ${type} is there`;
    return { reason, fix: `mount ${type} on ${usual} first` };
  }
  const { place } = obstacle;
  if (obstacle.kind === "options") {
    const list = obstacle.options.join(",");
    return { reason: `${place} is mounted ${list}`, fix: `mount it with the options ${list}, too` };
  }
  const more = obstacle.points.length - SHOWN;
  const points = `${obstacle.points.slice(0, SHOWN).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  return {
    reason: `a new ${type} would reveal what mounts hide at ${points}`,
    fix:
      `unmount these, or bind ${place} with rbind instead; an outer container has no such mounts with ` +
      "--security-opt unmask=ALL (podman), --security-opt systempaths=unconfined (docker), procMount: Unmasked (Kubernetes)",
  };
}
