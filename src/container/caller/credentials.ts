import { writeFileSync } from "../../../bindings/linux/files.ts";
import { prlimit } from "../../../bindings/linux/rlimit.ts";
import { allowsSetgroups } from "../../init/id-mappings.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { hasNamespace, type Namespaces, namespacesOf } from "../../plan/init-plan.ts";
import type { CredentialOptions } from "../../plan/process/credentials.ts";
import type { Config, Process } from "../../spec/types.ts";
import type { Caller } from "./caller.ts";
import { explainDenial } from "./denials.ts";

/** Rights of a container's process: those that the caller can grant, and the limits that only the runtime can set, with the caller's rights. */

/**
 * crun's annotation, which `podman run --group-add keep-groups` sets so that the container can use files of the caller's groups; any
 * value but 0, as with crun. `features` lists it as unsafe for engines to pass on from users whom they don't trust.
 */
const KEEP_GROUPS = "run.oci.keep_original_groups";

export function credentialOptions(
  caller: Caller,
  process: Process,
  container: {
    readonly ownUserNamespace: boolean;
    readonly hasSeccomp: boolean;
    readonly canSetGroups: boolean;
    readonly annotations: Config["annotations"];
  },
  warn: (message: string) => void,
): CredentialOptions {
  const ALL = (1n << 64n) - 1n;
  return {
    lastCapability: caller.lastCapability,
    permitted: container.ownUserNamespace ? ALL : caller.permitted,
    keepSysAdmin: container.hasSeccomp && process.noNewPrivileges !== true,
    canSetGroups: container.canSetGroups,
    keepsGroups: (container.annotations?.[KEEP_GROUPS] ?? "0") !== "0",
    warn,
  };
}

/**
 * Whether setgroups(2) is allowed in the container: an unprivileged caller has to deny it in a user namespace whose groups they
 * map themselves. In one that is joined it is as its creator has left it.
 */
export function canSetGroups(caller: Caller, { joined }: Namespaces): boolean {
  const member = /^\/proc\/(\d+)\/ns\/user$/.exec(joined.get("user")?.path ?? "")?.[1];
  return caller.canSetGroups || (member !== undefined && allowsSetgroups(member));
}

/** Sets hard limits and oom_score_adj before the process does anything. For an unprivileged caller the process has set its oom_score_adj itself. */
export function applyHostLimits(pid: number, process: Process, { privileged }: Caller): void {
  raiseLimits(pid, process);
  const { oomScoreAdj } = process;
  if (oomScoreAdj === undefined || !privileged) return;
  onBehalfOf("/process/oomScoreAdj", "set oom_score_adj", () => {
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(oomScoreAdj));
  });
}

/**
 * Hard limits can be raised only from here, with the caller's rights, and only while the process still has the caller's user
 * (prlimit(2)); the rest it sets itself.
 */
function raiseLimits(pid: number, { rlimits = [] }: Process): void {
  rlimits.forEach(({ type, hard }, index) => {
    onBehalfOf(`/process/rlimits/${index}`, `raise ${type}`, () => {
      const current = prlimit(pid, type);
      if (hard > current.hard) prlimit(pid, type, { soft: current.soft, hard });
    });
  });
}

/**
 * Adds to an error what has to change where the caller has too few rights, or the container, in a user namespace of its own. `cgroup` is that
 * of a container which is there already.
 */
export function withDenialHint(error: unknown, caller: Caller, config: Config, cgroup = ""): unknown {
  const isInitial = !caller.inUserNamespace && !hasNamespace(namespacesOf(config), "user");
  if (caller.privileged && isInitial) return error;
  return explainDenial(error, caller, config, cgroup);
}
