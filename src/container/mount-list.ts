import type { MountInfo } from "../../bindings/linux/mount-info.ts";

/** A mount of a container, in the words of config.json where it has them. */
export interface MountEntry {
  readonly id: number;
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  /** The part of the file system that is mounted, if not all of it. */
  readonly root?: string;
  readonly options: readonly string[];
}

export function listedMount(mount: MountInfo): MountEntry {
  const { id, point, type, source, root } = mount;
  const options = [...mount.options, ...mount.superOptions, ...mount.propagation.flatMap(propagation)];
  return {
    id,
    destination: point,
    type,
    source,
    ...(root !== "/" && { root }),
    // Of the two `rw` or `ro`, the mount's own, which stands first, is what counts.
    options: [...new Set(options)].filter((option) => !(options[0] === "ro" && option === "rw")),
  };
}

/** Fields such as `shared:7`, `master:3` and `unbindable`. */
function propagation(field: string): string[] {
  if (field.startsWith("shared:")) return ["shared"];
  if (field.startsWith("master:")) return ["slave"];
  return field === "unbindable" ? [field] : [];
}
