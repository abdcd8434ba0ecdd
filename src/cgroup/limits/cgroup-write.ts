import { RuntsError } from "../../errors.ts";

/** One setting: a value for a file of the container's cgroup. */
export interface CgroupWrite {
  readonly file: string;
  readonly value: string;
  /** JSON pointer of the property that asks for it. */
  readonly pointer: string;
  /** Asks for no limit, which is what holds where the file is missing. */
  readonly unlimited?: boolean;
  /** A newer kernel's addition to another write of the same property: skipped where the file is missing. */
  readonly optional?: boolean;
  /** Written instead where the file is missing. */
  readonly fallback?: { readonly file: string; readonly value: string };
}

/** What conversions need to know of a cgroup that is being updated. */
export interface CurrentLimits {
  readonly isUpdate?: boolean;
  /** memory.max, -1 for `max`. */
  readonly memoryLimit?: bigint;
  /** First field of cpu.max. */
  readonly cpuQuota?: string;
}

/**
 * config-linux.md, Unified: "If the conversion is not possible the runtime MUST generate an error." Callers say it for values
 * that ask for something only: engines send 0, false and -1 for what nobody set.
 */
export function v1OnlyError(pointer: string): RuntsError {
  return invalidResource(pointer, "exists in cgroup v1 only and has no equivalent in cgroup v2");
}

export function invalidResource(pointer: string, message: string): RuntsError {
  return new RuntsError(`${pointer}: ${message}`, { pointer });
}

/** The controller that a file belongs to: the kernel names files `CONTROLLER.PARAMETER`. */
export function controllerOf(file: string): string {
  return file.slice(0, Math.max(0, file.indexOf(".")));
}
