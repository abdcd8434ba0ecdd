import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { RuntsError, reworded } from "../../errors.ts";
import type { LinuxResources } from "../../spec/types.ts";
import { tryReadCgroupFile, writeCgroupFile } from "../files.ts";
import { applyWrite, checkBeforeUpdate, currentLimits, type ResourceOptions } from "./apply.ts";
import type { CgroupWrite } from "./cgroup-write.ts";
import { planResources } from "./plan.ts";

/** Their read format can't be written back. */
const LISTS = ["cgroup.subtree_control", "cgroup.procs", "cgroup.threads", "cgroup.type"];

/** Values that reset a device's limit, for a device that the file has no line for. */
const UNSET: Readonly<Record<string, string>> = {
  "io.max": "rbps=max wbps=max riops=max wiops=max",
  "io.weight": "default",
  "io.bfq.weight": "default",
};

/**
 * New limits for the cgroup of a running container, all of them or none: if one is refused, the previous values are written back.
 * Create it before anything else changes the cgroup, systemd included, as the constructor reads the previous values.
 */
export class ResourceUpdate {
  readonly plan: readonly CgroupWrite[];
  readonly #directory: string;
  readonly #earlier: ReadonlyMap<CgroupWrite, CgroupWrite | undefined>;
  readonly #done: CgroupWrite[] = [];

  constructor(directory: string, resources: LinuxResources) {
    this.#directory = directory;
    this.plan = planResources(resources, currentLimits(directory, resources));
    checkBeforeUpdate(directory, resources);
    this.#earlier = new Map(this.plan.map((write) => [write, earlierValue(directory, write)]));
  }

  apply(options: ResourceOptions): void {
    for (const write of this.plan) {
      // Recorded first, as a write that fails may have changed the file: the kernel accepts a cpuset that has no effect.
      this.#done.push(write);
      applyWrite(this.#directory, write, options);
    }
  }

  /** The previous values of the files, as writes. */
  get earlier(): CgroupWrite[] {
    return [...this.#earlier.values()].filter((write) => write !== undefined);
  }

  /**
   * Writes the previous values back, and restores the systemd unit if there is one. Returns `error`, with the pointers of the properties
   * that could not be restored.
   */
  undo(error: unknown, restoreUnit: () => void): unknown {
    // In two passes, as one value may block another: a burst above the quota, for example.
    const failed = this.#restore(this.#restore(this.earlier.toReversed()));
    const lost = this.#done.slice(0, -1).filter((write) => this.#earlier.get(write) === undefined);
    const differing = new Set([...failed, ...lost].map(({ pointer }) => pointer));
    try {
      restoreUnit();
    } catch {
      differing.add("the properties of the systemd unit");
    }
    if (differing.size === 0 || !(error instanceof RuntsError)) return error;
    return reworded(error, `${error.message}; could not be restored: ${[...differing].join(", ")}`);
  }

  /** Returns the writes that failed. */
  #restore(writes: readonly CgroupWrite[]): CgroupWrite[] {
    return writes.filter(({ file, value, pointer }) => {
      try {
        withPurpose(pointer, `set ${file} back`, () => writeCgroupFile(this.#directory, file, value));
        return false;
      } catch {
        return true;
      }
    });
  }
}

/** The present value of the file, for the same key if it has several, as a write. Undefined if it is not known. */
function earlierValue(directory: string, write: CgroupWrite): CgroupWrite | undefined {
  const { file, value, pointer, fallback } = write;
  let text: string | undefined;
  try {
    text = tryReadCgroupFile(directory, file);
  } catch {
    // The file is write-only, like memory.reclaim.
    return undefined;
  }
  if (text === undefined) {
    return fallback === undefined ? undefined : earlierValue(directory, { ...fallback, pointer });
  }
  const before = earlierText(file, text, value);
  return before === undefined ? undefined : { file, value: before, pointer };
}

/**
 * The text that undoes a write of `value` to a file that contains `text`; undefined if there is none. cgroup-v2.rst, "Format": a file has
 * one value, a value per key, or several named values per key.
 */
export function earlierText(file: string, text: string, value: string): string | undefined {
  if (LISTS.includes(file)) return undefined;
  const lines = text.split("\n").filter((line) => line !== "");
  const [key = "", ...values] = value.trim().split(/\s+/);
  const keyed = /^(?:[0-9]+:[0-9]+|[A-Za-z_][^ =]*)$/.test(key) && values.length > 0 && key !== "max";
  if (!keyed) return lines[0] ?? "\n";
  const line = lines.find((entry) => entry.startsWith(`${key} `));
  if (line !== undefined) return line;
  const unset = Object.hasOwn(UNSET, file) ? UNSET[file] : undefined;
  return unset === undefined ? undefined : `${key} ${unset}`;
}
