import { statSync } from "../../bindings/linux/file-status.ts";
import { onBehalfOf } from "../init/run-program.ts";
import type { SeccompFilter } from "../plan/process-setup.ts";
import type { Config } from "../spec/types.ts";
import type { Caller } from "./caller.ts";
import type { Context } from "./options.ts";

/** The container's filter for the kernel, undefined if it has none. The compiler is loaded only where there is one. */
export async function compileFilter(
  { log }: Context,
  { linux }: Config,
  { privileged }: Caller,
): Promise<SeccompFilter | undefined> {
  const seccomp = linux?.seccomp;
  if (seccomp === undefined) return undefined;
  const { compileSeccomp } = await import("../seccomp/compile.ts");
  const { filter, flags, notifies } = compileSeccomp(seccomp, (message) => log.debug(message));
  if (!notifies) return { filter, flags, listener: undefined };
  const { listenerPath = "" } = seccomp;
  // A look is all that can be done so early: each connection has to bring the agent a listener (config-linux.md, Seccomp).
  onBehalfOf("/linux/seccomp/listenerPath", "find the seccomp agent's socket", () => statSync(listenerPath));
  return { filter, flags, listener: { dumpable: !privileged } };
}
