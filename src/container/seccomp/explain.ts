import { RuntsError } from "../../errors.ts";
import { type ExplainedCall, explainCall } from "../../seccomp/explain-call.ts";
import { readConfig, readValidConfig } from "../../spec/config.ts";
import type { GlobalOptions } from "../context.ts";
import { readSavedState } from "../record/saved-state.ts";

export type { ExplainedCall };

/** Tells how the filter of a container, or of a bundle's config, answers a system call, and why. */
export function explainSyscall(
  { root }: GlobalOptions,
  where: { readonly id: string } | { readonly bundle: string },
  name: string,
  args: readonly bigint[],
): ExplainedCall {
  const { linux } =
    "bundle" in where ? readConfig(where.bundle) : readValidConfig(readSavedState(root, where.id).directory);
  if (linux?.seccomp !== undefined) return explainCall(linux.seccomp, name, args);
  const pointer = "/linux/seccomp";
  throw new RuntsError(`${pointer}: there is no filter: every system call is allowed`, {
    operation: "seccomp",
    pointer,
  });
}
