import type { StartOptions } from "../plan/process-setup.ts";
import type { Config } from "../spec/types.ts";
import type { Context } from "./options.ts";

/** The container's filter for the kernel, undefined if it has none. The compiler is loaded only where there is one. */
export async function compileFilter({ log }: Context, { linux }: Config): Promise<StartOptions["seccomp"]> {
  const seccomp = linux?.seccomp;
  if (seccomp === undefined) return undefined;
  const { compileSeccomp } = await import("../seccomp/compile.ts");
  return compileSeccomp(seccomp, (message) => log.debug(message));
}
