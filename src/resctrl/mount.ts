import { type MountInfo, mountsOf } from "../../bindings/linux/mount-info.ts";
import { RuntsError } from "../errors.ts";

/** The mount point of resctrl, usually /sys/fs/resctrl, but a host may have it anywhere. */
export function findResctrl(mounts: readonly MountInfo[] = mountsOf("self")): string {
  const found = mounts.find(({ type }) => type === "resctrl");
  if (found !== undefined) return found.point;
  throw new RuntsError("/linux/intelRdt: no resctrl file system is mounted on this host", {
    operation: "create",
    errno: "ENODEV",
    path: "/sys/fs/resctrl",
    pointer: "/linux/intelRdt",
  });
}
