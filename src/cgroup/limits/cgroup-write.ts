import { RuntsError } from "../../errors.ts";

/** One setting: a value to write to a file of the container's cgroup. */
export interface CgroupWrite {
  readonly file: string;
  readonly value: string;
  /** JSON pointer of the property that asks for it. */
  readonly pointer: string;
  /** Asks for no limit. Skipped where the file is missing, since no limit holds there anyway. */
  readonly unlimited?: boolean;
  /** Completes another write of the same property on newer kernels. Skipped where the file is missing. */
  readonly optional?: boolean;
  /** Written instead where the file is missing. */
  readonly fallback?: { readonly file: string; readonly value: string };
}

/** Present limits of a cgroup that is being updated, as far as conversions depend on them. */
export interface CurrentLimits {
  readonly isUpdate?: boolean;
  /** memory.max, -1 for `max`. */
  readonly memoryLimit?: bigint;
  /** First field of cpu.max. */
  readonly cpuQuota?: string;
}

/**
 * config-linux.md, Unified: "If the conversion is not possible the runtime MUST generate an error." Not to be thrown for 0, false and
 * -1, which engines send for unset values.
 */
export function v1OnlyError(pointer: string): RuntsError {
  return invalidResource(pointer, "exists in cgroup v1 only and has no equivalent in cgroup v2");
}

export function invalidResource(pointer: string, message: string): RuntsError {
  return new RuntsError(`${pointer}: ${message}`, { pointer });
}

/** The controller of a file: the kernel names files `CONTROLLER.PARAMETER`. */
export function controllerOf(file: string): string {
  return file.slice(0, Math.max(0, file.indexOf(".")));
}
