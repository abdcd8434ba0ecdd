import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../../bindings/abi/fcntl.ts";
import { CLONE_NEWPID, CLONE_NEWTIME } from "../../../bindings/abi/sched.ts";
import { closeSync, openSync } from "../../../bindings/linux/files.ts";
import type { StubChannel } from "../../../bindings/stub/client.ts";
import { RuntsError } from "../../errors.ts";
import { allowsSetgroups } from "../../init/id-mappings.ts";
import type { LiveMountsOptions } from "../../init/live-mounts.ts";
import type { PendingProcess } from "../../init/spawn-process.ts";
import { hasNamespace, namespacesOf } from "../../plan/init-plan.ts";
import { readValidConfig } from "../../spec/config.ts";
import type { Config } from "../../spec/types.ts";
import { type Caller, inspectCaller } from "../caller/caller.ts";
import { mountLabelOf } from "../caller/lsm.ts";
import type { GlobalOptions } from "../context.ts";
import { hostFacts } from "../create/host-facts.ts";
import { isAlive } from "../process/process-status.ts";
import { openProcess } from "../process/saved-process.ts";
import { type LockedContainer, lockMounts, withLockedContainer } from "../record/lock.ts";
import { checkId, containerDirectory, type SavedState } from "../record/saved-state.ts";
import { type JoinCgroup, openJoinCgroup } from "./cgroup.ts";
import { joinContainer, joinsUserNamespace } from "./join.ts";
import { differingNamespaces } from "./namespaces.ts";

/** The commands that change what a running container finds in its mount namespace. */
export type LiveChange = "mounts" | "devices";

/** The mount namespace of a running container. */
export interface MountNamespace {
  readonly saved: SavedState;
  readonly config: Config;
  /** Runs an action with a stub in the container's namespaces. */
  inside<T>(action: (channel: StubChannel, options: LiveMountsOptions) => T): T;
}

/** Throws unless a stub can run in the container: it is created or running. */
export function checkRunning(container: LockedContainer, command: LiveChange): LockedContainer {
  const { status, saved } = container;
  if (status === "running" || status === "created") return container;
  throw status === "paused" ? isPaused(command, saved) : notRunning(command, saved);
}

export function notRunning(command: LiveChange, { id }: Pick<SavedState, "id">): RuntsError {
  return new RuntsError("container not running", { operation: command, path: id });
}

function isPaused(command: LiveChange, { id }: SavedState): RuntsError {
  return new RuntsError("cannot change a paused container", { operation: command, path: id });
}

/** Runs an action under the lock of the container's mounts. The container's own lock is held only while its status is checked. */
export function withMountNamespace(
  context: GlobalOptions,
  id: string,
  command: LiveChange,
  action: (namespace: MountNamespace) => void,
): void {
  checkId(id);
  const lock = lockMounts(containerDirectory(context.root, id), id);
  try {
    action(mountNamespaceOf(context, id, command));
  } finally {
    lock?.release();
  }
}

function mountNamespaceOf(context: GlobalOptions, id: string, command: LiveChange): MountNamespace {
  return withLockedContainer(context, id, (container) => {
    const { directory, saved } = checkRunning(container, command);
    const config = readValidConfig(directory);
    if (!hasNamespace(namespacesOf(config), "mount")) {
      const message = `the container has no mount namespace of its own: its ${command} are those of its creator`;
      throw new RuntsError(message, { operation: command, path: id });
    }
    return { saved, config, inside: (use) => runInside({ context, saved, config, command }, use) };
  });
}

interface Entry {
  readonly context: GlobalOptions;
  readonly saved: SavedState;
  readonly config: Config;
  readonly command: LiveChange;
}

function runInside<T>(
  { context, saved, config, command }: Entry,
  use: (channel: StubChannel, options: LiveMountsOptions) => T,
): T {
  const { pid, id, bundle, cgroup } = saved;
  const caller = inspectCaller();
  const namespaces = namespacesOf(config);
  const inUserNamespace = hasNamespace(namespaces, "user");
  const warn = (message: string): void => context.log.warn(message);
  const pending = joinByStub(saved, caller, command);
  let root: number | undefined;
  try {
    root = openRoot(saved, command);
    return use(pending.channel, {
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
    // Killed, as one that hangs would stay in the container; and reaped, so that none is left when the command ends.
    pending.kill();
    if (root !== undefined) closeSync(root);
  }
}

function openRoot(saved: SavedState, command: LiveChange): number {
  const { pid, startTime } = saved;
  try {
    return openSync(`/proc/${pid}/root`, O_PATH | O_DIRECTORY | O_CLOEXEC);
  } catch (error) {
    throw isAlive(pid, startTime) ? error : notRunning(command, saved);
  }
}

/** Joins the container by a stub that is ready to take programs. */
function joinByStub(
  saved: SavedState,
  { ignoredSignals, privileged }: Caller,
  command: LiveChange,
): PendingProcess {
  const { pid } = saved;
  const refusePaused = () => isPaused(command, saved);
  const pidfd = openProcess(pid, saved.startTime);
  if (pidfd === undefined) throw notRunning(command, saved);
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
