import { delegateCgroup, isDelegated } from "../../cgroup/ownership.ts";
import { namespacesOf } from "../../plan/init-plan.ts";
import type { Config, Process } from "../../spec/types.ts";

/**
 * config-linux.md, Cgroup ownership: only a cgroup that the container sees as a root, and writable, is given to its user. The
 * function takes the cgroup's directory and init's pid.
 */
export function delegationTo(
  config: Config,
  process: Process,
  rootless: boolean,
): ((directory: string, pid: number) => void) | undefined {
  const { created, joined } = namespacesOf(config);
  const uid = process.user?.uid ?? 0;
  const ownUserNamespace = created.has("user") || joined.has("user");
  if (!created.has("cgroup") || (uid === 0 && !ownUserNamespace)) return undefined;
  if (!isDelegated(config)) return undefined;
  return (directory, pid) => delegateCgroup(directory, { pid, uid, ownUserNamespace }, rootless);
}
