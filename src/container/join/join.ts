import { CLONE_NEWUSER } from "../../../bindings/abi/sched.ts";
import type { SpawnOptions } from "../../init/clone-by-stub.ts";
import type { Joined } from "../../init/network-of.ts";
import { type PendingProcess, spawnProcess } from "../../init/spawn-process.ts";
import type { JoinCgroup } from "./cgroup.ts";

/** A running container, as a process joins it. */
export interface JoinTarget extends Joined {
  readonly cgroup: JoinCgroup | undefined;
}

/** How a process is spawned, but for its namespaces. */
export type JoinOptions = Omit<
  SpawnOptions,
  "namespaces" | "linux" | "join" | "cgroup" | "mapIds" | "keepFds"
> & {
  /** Descriptors after stdio that stay open; none by default. */
  readonly keepFds?: number;
};

/**
 * Spawns a process in the namespaces and the cgroup of a running container: for `exec`, hooks and live mounts. Without a target the
 * process stays in those of the runtime, as a hook does that runs there.
 */
export function joinContainer(target: JoinTarget | undefined, options: JoinOptions): PendingProcess {
  return spawnProcess({
    keepFds: 0,
    ...options,
    ...(target !== undefined && { join: { pidfd: target.pidfd, flags: target.flags } }),
    cgroup: target?.cgroup?.descriptor,
  });
}

/** Whether a process that joins these namespaces (CLONE_NEW*) has the rights of the container's user namespace only. */
export function joinsUserNamespace(privileged: boolean, flags: number): boolean {
  return privileged && (flags & CLONE_NEWUSER) !== 0;
}
