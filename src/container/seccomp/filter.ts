import { statSync } from "../../../bindings/linux/file-status.ts";
import { RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import type { SeccompFilter } from "../../plan/process/exec.ts";
import { cacheDirectory, cacheKey, findFilter } from "../../seccomp/cache.ts";
import { storeFilter } from "../../seccomp/cache-store.ts";
import { type CompiledSeccomp, compileSeccomp } from "../../seccomp/compile.ts";
import { type AllowedAnnotations, annotationPointer, FAIL_UNKNOWN_SYSCALL } from "../../spec/annotations.ts";
import type { Config, Seccomp } from "../../spec/types.ts";
import type { Caller } from "../caller/caller.ts";
import type { GlobalOptions } from "../context.ts";
import { agentAddress } from "./agent.ts";

export interface FilterOptions {
  /** One of them may name the agent. */
  readonly allowed: AllowedAnnotations | undefined;
  /** Whether the container is being made. */
  readonly isNew: boolean;
}

/** Compiles the container's filter for the kernel. Returns undefined if it has none. */
export function compileFilter(
  context: GlobalOptions,
  { linux, annotations }: Config,
  { privileged }: Caller,
  { allowed, isNew }: FilterOptions,
): SeccompFilter | undefined {
  const seccomp = linux?.seccomp;
  if (seccomp === undefined) return undefined;
  const { filter, flags, notifies } =
    isNew && failsForUnknown(annotations) ? knownFilter(context, seccomp) : compiledFilter(context, seccomp);
  if (!notifies) return { filter, flags, listener: undefined };
  const agent = agentAddress(seccomp, allowed);
  // The runtime listens itself: seccomp/trace.ts.
  if (agent === undefined) return { filter, flags, listener: { dumpable: !privileged } };
  // The agent can't be connected to so early: each connection has to bring it a listener (config-linux.md, Seccomp).
  onBehalfOf(agent.pointer, "find the seccomp agent's socket", () => statSync(agent.path));
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

/** crun's annotation: any value but 0 makes a system call that libseccomp does not know an error. */
function failsForUnknown(annotations: Config["annotations"]): boolean {
  return (annotations?.[FAIL_UNKNOWN_SYSCALL] ?? "0") !== "0";
}

/** Like compiledFilter, for a profile that may name only system calls that libseccomp knows. A kept filter does not tell that. */
function knownFilter(context: GlobalOptions, seccomp: Seccomp): CompiledSeccomp {
  const asking = annotationPointer(FAIL_UNKNOWN_SYSCALL);
  const refuse = (name: string, pointer: string) => {
    throw new RuntsError(`${pointer}: libseccomp does not know ${name}, which ${asking} makes an error`, {
      operation: "seccomp",
      path: name,
      pointer,
    });
  };
  return compileSeccomp(seccomp, (message) => context.log.debug(message), refuse);
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
