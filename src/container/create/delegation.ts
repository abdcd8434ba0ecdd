import { withBusyCgroupHint } from "../../cgroup/errors.ts";
import { delegateCgroup, isDelegated } from "../../cgroup/ownership.ts";
import { RuntsError } from "../../errors.ts";
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

/** A clone that the kernel has refused, in terms of the cgroup that it was for. */
export function withCgroupHint(error: unknown, cgroup: () => string | undefined): unknown {
  if (!(error instanceof RuntsError) || error.errno !== "EBUSY") return error;
  const directory = cgroup();
  return directory === undefined ? error : withBusyCgroupHint(error, directory);
}
