import { RuntsError } from "../errors.ts";
import { type ExplainedCall, explainCall } from "../seccomp/explain-call.ts";
import { readConfig, readValidConfig } from "../spec/config.ts";
import { checkId } from "./id.ts";
import type { Context } from "./options.ts";
import { containerDirectory, doesNotExist, tryReadState } from "./saved-state.ts";

export type { ExplainedCall };

/** What the filter of a container, or of a bundle's config, answers to a system call, and why. */
export function explainSyscall(
  { root }: Context,
  where: { readonly id: string } | { readonly bundle: string },
  name: string,
  args: readonly bigint[],
): ExplainedCall {
  const { linux } = "bundle" in where ? readConfig(where.bundle) : savedConfig(root, where.id);
  if (linux?.seccomp !== undefined) return explainCall(linux.seccomp, name, args);
  const pointer = "/linux/seccomp";
  throw new RuntsError(`${pointer}: there is no filter: every system call is allowed`, {
    operation: "seccomp",
    pointer,
  });
}

function savedConfig(root: string, id: string) {
  checkId(id);
  const directory = containerDirectory(root, id);
  if (tryReadState(directory) === undefined) throw doesNotExist(id);
  return readValidConfig(directory);
}
