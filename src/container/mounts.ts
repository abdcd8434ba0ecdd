import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../bindings/abi/fcntl.ts";
import { CLONE_NEWPID, CLONE_NEWTIME } from "../../bindings/abi/sched.ts";
import { closeSync, openSync, readFileSync } from "../../bindings/linux/files.ts";
import { type MountInfo, mountsOf } from "../../bindings/linux/mount-info.ts";
import type { StubChannel } from "../../bindings/stub/client.ts";
import { RuntsError } from "../errors.ts";
import { allowsSetgroups } from "../init/id-mappings.ts";
import {
  type LiveMountsOptions,
  type MountPoint,
  makeLiveMounts,
  removeLiveMounts,
} from "../init/live-mounts.ts";
import { onBehalfOf } from "../init/run-program.ts";
import type { PendingProcess } from "../init/spawn-process.ts";
import { hasNamespace, namespacesOf } from "../plan/init-plan.ts";
import { cleanPath } from "../plan/rootfs-paths.ts";
import { parseMounts, readValidConfig } from "../spec/config.ts";
import type { Config, Mount } from "../spec/types.ts";
import { type Caller, inspectCaller } from "./caller/caller.ts";
import { mountLabelOf } from "./caller/lsm.ts";
import type { GlobalOptions } from "./context.ts";
import { followDanglingLinks, hostFacts } from "./create/host-facts.ts";
import { type JoinCgroup, openJoinCgroup } from "./join/cgroup.ts";
import { joinContainer, joinsUserNamespace } from "./join/join.ts";
import { differingNamespaces } from "./join/namespaces.ts";
import { isAlive } from "./process/process-status.ts";
import { openProcess } from "./process/saved-process.ts";
import { type LockedContainer, lockMounts, withLockedContainer } from "./record/lock.ts";
import { checkId, containerDirectory, type SavedState } from "./record/saved-state.ts";

/**
 * `mounts add`: makes the mounts of a JSON file, in the form of config.json's, in a container that runs. Makes all of them or none: if one
 * fails, those before it are unmounted again.
 */
export function addMounts(context: GlobalOptions, id: string, file: string): void {
  withMountNamespace(context, id, (container) => {
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
  withMountNamespace(context, id, (container) => {
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
    mountsOf(checkRunning(container).saved.pid).map(listedMount),
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

const PAUSED = "cannot change a paused container";

function checkRunning(container: LockedContainer): LockedContainer {
  const { status, saved } = container;
  if (status === "running" || status === "created") return container;
  const reason = status === "paused" ? PAUSED : "container not running";
  throw new RuntsError(reason, { operation: "mounts", path: saved.id });
}

interface MountNamespace {
  readonly saved: SavedState;
  readonly config: Config;
  /** Runs an action with a stub in the container's namespaces. */
  inside(action: (channel: StubChannel, options: LiveMountsOptions) => void): void;
}

/** Runs an action under the lock of the container's mounts. The container's own lock is held only while its status is checked. */
function withMountNamespace(
  context: GlobalOptions,
  id: string,
  action: (namespace: MountNamespace) => void,
): void {
  checkId(id);
  const lock = lockMounts(containerDirectory(context.root, id), id);
  try {
    action(mountNamespaceOf(context, id));
  } finally {
    lock?.release();
  }
}

function mountNamespaceOf(context: GlobalOptions, id: string): MountNamespace {
  return withLockedContainer(context, id, (container) => {
    const { directory, saved } = checkRunning(container);
    const config = readValidConfig(directory);
    if (!hasNamespace(namespacesOf(config), "mount")) {
      const message = "the container has no mount namespace of its own: its mounts are those of its creator";
      throw new RuntsError(message, { operation: "mounts", path: id });
    }
    return { saved, config, inside: (use) => runInside(context, saved, config, use) };
  });
}

function runInside(
  context: GlobalOptions,
  saved: SavedState,
  config: Config,
  use: (channel: StubChannel, options: LiveMountsOptions) => void,
): void {
  const { pid, id, bundle, cgroup } = saved;
  const caller = inspectCaller();
  const namespaces = namespacesOf(config);
  const inUserNamespace = hasNamespace(namespaces, "user");
  const warn = (message: string): void => context.log.warn(message);
  const pending = joinForMounts(saved, caller);
  let root: number | undefined;
  try {
    root = openSync(`/proc/${pid}/root`, O_PATH | O_DIRECTORY | O_CLOEXEC);
    use(pending.channel, {
      id,
      config,
      namespaces,
      // Links of the container's root are read through the descriptor.
      facts: hostFacts({
        bundle,
        rootfs: `/proc/self/fd/${root}`,
        cgroup: cgroup === "" ? undefined : cgroup,
        mountLabel: mountLabelOf(config, warn),
        inUserNamespace: caller.inUserNamespace || inUserNamespace,
        warn,
      }),
      inUserNamespace,
      canSetGroups: inUserNamespace ? allowsSetgroups(pid) : caller.canSetGroups,
      pid,
    });
  } finally {
    pending.close();
    if (root !== undefined) closeSync(root);
  }
}

/** Joins the container by a stub that is ready to take programs. */
function joinForMounts(saved: SavedState, { ignoredSignals, privileged }: Caller): PendingProcess {
  const { pid, id } = saved;
  const refusePaused = () => new RuntsError(PAUSED, { operation: "mounts", path: id });
  const pidfd = openProcess(pid, saved.startTime);
  if (pidfd === undefined) throw new RuntsError("container not running", { operation: "mounts", path: id });
  let cgroup: JoinCgroup | undefined;
  let pending: PendingProcess | undefined;
  try {
    // Not the pid namespace: a process with all the rights that mounting takes must stay out of the container's sight.
    const flags = differingNamespaces(pid) & ~(CLONE_NEWPID | CLONE_NEWTIME);
    cgroup = openJoinCgroup(saved, { refusePaused }, joinsUserNamespace(privileged, flags));
    pending = joinContainer({ pidfd, flags, cgroup }, { ignoredSignals, privileged });
    const { pid: joined } = pending.finish();
    cgroup.attach?.(joined);
    return pending;
  } catch (error) {
    pending?.kill();
    throw error;
  } finally {
    closeSync(pidfd);
    cgroup?.close();
  }
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
