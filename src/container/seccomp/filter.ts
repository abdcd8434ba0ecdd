import { statSync } from "../../../bindings/linux/file-status.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import type { SeccompFilter } from "../../plan/process/exec.ts";
import { cacheDirectory, cacheKey, findFilter } from "../../seccomp/cache.ts";
import { storeFilter } from "../../seccomp/cache-store.ts";
import { type CompiledSeccomp, compileSeccomp } from "../../seccomp/compile.ts";
import type { Config, Seccomp } from "../../spec/types.ts";
import type { Caller } from "../caller/caller.ts";
import type { GlobalOptions } from "../context.ts";

/** Compiles the container's filter for the kernel. Returns undefined if it has none. */
export function compileFilter(
  context: GlobalOptions,
  { linux }: Config,
  { privileged }: Caller,
): SeccompFilter | undefined {
  const seccomp = linux?.seccomp;
  if (seccomp === undefined) return undefined;
  const { filter, flags, notifies } = compiledFilter(context, seccomp);
  if (!notifies) return { filter, flags, listener: undefined };
  const { listenerPath } = seccomp;
  // The runtime listens itself: seccomp/trace.ts.
  if (listenerPath === undefined) return { filter, flags, listener: { dumpable: !privileged } };
  // The agent can't be connected to so early: each connection has to bring it a listener (config-linux.md, Seccomp).
  onBehalfOf("/linux/seccomp/listenerPath", "find the seccomp agent's socket", () => statSync(listenerPath));
  return { filter, flags, listener: { dumpable: !privileged } };
}

/** Finds the compiled filter of a profile that a container had before, or compiles and stores it. */
function compiledFilter(context: GlobalOptions, seccomp: Seccomp): CompiledSeccomp {
  // Under Node the program is many files, of which each can change.
  if (process.versions.bun === undefined || context.keepFilters === false)
    return compileAnew(context, seccomp, () => undefined);
  const directory = cacheDirectory(context.root);
  const key = cacheKey(seccomp);
  const found = findFilter(directory, key);
  if (found !== undefined) {
    for (const warning of found.warnings) context.log.debug(warning);
    return found;
  }
  return compileAnew(context, seccomp, (compiled, warnings) =>
    storeFilter(directory, key, compiled, warnings),
  );
}

function compileAnew(
  { log }: GlobalOptions,
  seccomp: Seccomp,
  store: (compiled: CompiledSeccomp, warnings: readonly string[]) => void,
): CompiledSeccomp {
  const warnings: string[] = [];
  const compiled = compileSeccomp(seccomp, (message) => {
    log.debug(message);
    warnings.push(message);
  });
  try {
    store(compiled, warnings);
  } catch (error) {
    // The store only matters for speed: a full disk, say, keeps nobody from running a container.
    log.debug(`the seccomp filter is not kept: ${error instanceof Error ? error.message : error}`);
  }
  return compiled;
}
