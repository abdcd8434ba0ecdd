import { readFileSync } from "../../bindings/linux/files.ts";
import { type MountInfo, mountsOf } from "../../bindings/linux/mount-info.ts";
import { RuntsError } from "../errors.ts";
import { type MountPoint, makeLiveMounts, removeLiveMounts } from "../init/live-mounts.ts";
import { onBehalfOf } from "../init/run-program.ts";
import { cleanPath } from "../plan/rootfs-paths.ts";
import { parseMounts } from "../spec/config.ts";
import type { Config, Mount } from "../spec/types.ts";
import type { GlobalOptions } from "./context.ts";
import { followDanglingLinks } from "./create/host-facts.ts";
import { checkRunning, type MountNamespace, withMountNamespace } from "./join/mount-namespace.ts";
import { isAlive } from "./process/process-status.ts";
import { withLockedContainer } from "./record/lock.ts";

/**
 * `mounts add`: makes the mounts of a JSON file, in the form of config.json's, in a container that runs. Makes all of them or none: if one
 * fails, those before it are unmounted again.
 */
export function addMounts(context: GlobalOptions, id: string, file: string): void {
  withMountNamespace(context, id, "mounts", (container) => {
    const mounts = readMounts(file, container.config);
    mounts.forEach(refuseProcfs);
    mounts.forEach(refuseLinkOptions);
    const before = new Set(mountsOf(container.saved.pid).map(({ id }) => id));
    try {
      container.inside((channel, options) => makeLiveMounts(channel, mounts, options));
    } catch (error) {
      undoMounts(context, container, mounts, before);
      throw error;
    }
  });
}

/** Unmounts as much of a list as has been mounted. If the container has ended meanwhile, there is nothing left to do. */
function undoMounts(
  context: GlobalOptions,
  { saved, inside }: MountNamespace,
  mounts: readonly Mount[],
  before: ReadonlySet<number>,
): void {
  const { pid, startTime } = saved;
  if (!isAlive(pid, startTime)) return;
  try {
    const places = mounts.map(({ destination }) => cleanPath(destination));
    const points = new Set(places.map((place) => followDanglingLinks(`/proc/${pid}/root`, place)));
    const made = mountsOf(pid).filter(({ id, point }) => !before.has(id) && points.has(point));
    const undo = made.reverse().map(({ point }) => ({ path: point, pointer: "" }));
    if (undo.length > 0) inside((channel, options) => removeLiveMounts(channel, undo, options));
  } catch (error) {
    context.log.warn(`what was mounted is still there: ${error instanceof Error ? error.message : error}`);
  }
}

/** `mounts remove`: unmounts the uppermost mount at each destination of such a file, the last first. */
export function removeMounts(context: GlobalOptions, id: string, file: string): void {
  withMountNamespace(context, id, "mounts", (container) => {
    const points = readMounts(file, container.config).map(({ destination }, index): MountPoint => {
      const pointer = `/${index}/destination`;
      const path = cleanPath(destination);
      if (path === "/") {
        const message = `${pointer}: the root file system can't be taken from the container`;
        throw new RuntsError(message, { operation: "umount2", path, pointer });
      }
      return { path, pointer };
    });
    container.inside((channel, options) => removeLiveMounts(channel, points.reverse(), options));
  });
}

/** `mounts list`: returns the mounts of the container, in the order of the kernel. */
export function listMounts(context: GlobalOptions, id: string): readonly MountEntry[] {
  return withLockedContainer(context, id, (container) =>
    mountsOf(checkRunning(container, "mounts").saved.pid).map(listedMount),
  );
}

function readMounts(file: string, { linux }: Config): readonly Mount[] {
  const text = onBehalfOf("", "read the mounts", () => readFileSync(file));
  return parseMounts(text, file, linux);
}

/** A procfs would be that of the runtime's pid namespace. If the runtime joined the container's, the container could see its process. */
function refuseProcfs({ type, destination }: Mount, index: number): void {
  if (type !== "proc") return;
  const pointer = `/${index}/type`;
  const message = `${pointer}: a new procfs can't be mounted in a container that runs`;
  throw new RuntsError(message, { operation: "mount", path: destination, pointer });
}

const LINK_OPTIONS: readonly string[] = ["copy-symlink", "src-nofollow", "dest-nofollow"];

/** A link could not be removed again by its destination: a path through a link is found where the link leads to. */
function refuseLinkOptions({ options = [], destination }: Mount, index: number): void {
  const at = options.findIndex((option) => LINK_OPTIONS.includes(option));
  if (at < 0) return;
  const pointer = `/${index}/options/${at}`;
  const message = `${pointer}: ${options[at]} is not supported in a container that runs`;
  throw new RuntsError(message, { operation: "mount", path: destination, pointer });
}

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
    // The mount's own `rw` or `ro` stands first and counts, not that of the file system.
    options: [...new Set(options)].filter((option) => !(options[0] === "ro" && option === "rw")),
  };
}

/** Fields such as `shared:7`, `master:3` and `unbindable`. */
function propagation(field: string): string[] {
  if (field.startsWith("shared:")) return ["shared"];
  if (field.startsWith("master:")) return ["slave"];
  return field === "unbindable" ? [field] : [];
}
