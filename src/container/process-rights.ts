import { writeFileSync } from "node:fs";
import { prlimit } from "../../bindings/linux/rlimit.ts";
import { onBehalfOf } from "../init/run-program.ts";
import type { CredentialOptions } from "../plan/credentials.ts";
import type { Process } from "../spec/types.ts";
import type { Caller } from "./caller.ts";

/** What a process of a container can be granted, and what only the runtime, with the caller's rights, can do for it. */

export function credentialOptions(
  caller: Caller,
  process: Process,
  container: { readonly ownUserNamespace: boolean; readonly hasSeccomp: boolean },
  warn: (message: string) => void,
): CredentialOptions {
  const ALL = (1n << 64n) - 1n;
  return {
    lastCapability: caller.lastCapability,
    permitted: container.ownUserNamespace ? ALL : caller.permitted,
    keepSysAdmin: container.hasSeccomp && process.noNewPrivileges !== true,
    canSetGroups: caller.canSetGroups,
    warn,
  };
}

/** Before the process does anything itself. */
export function adoptProcess(pid: number, process: Process): void {
  raiseLimits(pid, process);
  const { oomScoreAdj } = process;
  if (oomScoreAdj === undefined) return;
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
