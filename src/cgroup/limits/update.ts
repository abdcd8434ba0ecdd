import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { RuntsError, reworded } from "../../errors.ts";
import type { LinuxResources } from "../../spec/types.ts";
import { tryReadCgroupFile, writeCgroupFile } from "../files.ts";
import { applyWrite, checkBeforeUpdate, currentLimits, type ResourceOptions } from "./apply.ts";
import type { CgroupWrite } from "./cgroup-write.ts";
import { planResources } from "./plan.ts";

/** Of these, what can be read is no value to write. */
const LISTS = ["cgroup.subtree_control", "cgroup.procs", "cgroup.threads", "cgroup.type"];

/** What asks for nothing, for a device that a file has no line for. */
const UNSET: Readonly<Record<string, string>> = {
  "io.max": "rbps=max wbps=max riops=max wiops=max",
  "io.weight": "default",
  "io.bfq.weight": "default",
};

/**
 * New limits of a cgroup whose container runs, all of them or none: where one is refused, the values from before are written
 * again. Made before anything else changes the cgroup, systemd included.
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
      // What fails may be half done: a cpuset that the kernel takes and that has no effect.
      this.#done.push(write);
      applyWrite(this.#directory, write, options);
    }
  }

  /** What was in the files before, as writes of it. */
  get earlier(): CgroupWrite[] {
    return [...this.#earlier.values()].filter((write) => write !== undefined);
  }

  /** Writes the values from before again, to the unit as well if there is one. The error says which are not what they were. */
  undo(error: unknown, restoreUnit: () => void): unknown {
    // One may stand in the way of another, as a burst above the quota does.
    const failed = this.#restore(this.#restore(this.earlier.toReversed()));
    const lost = this.#done.slice(0, -1).filter((write) => this.#earlier.get(write) === undefined);
    const differing = new Set([...failed, ...lost].map(({ pointer }) => pointer));
    try {
      restoreUnit();
    } catch {
      differing.add("the properties of the systemd unit");
    }
    if (differing.size === 0 || !(error instanceof RuntsError)) return error;
    return reworded(error, `${error.message}; not as before the update: ${[...differing].join(", ")}`);
  }

  /** Those that could not be written. */
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

/** What is in the file, for the same key if it has many; undefined where that can't be told. */
function earlierValue(directory: string, write: CgroupWrite): CgroupWrite | undefined {
  const { file, value, pointer, fallback } = write;
  let text: string | undefined;
  try {
    text = tryReadCgroupFile(directory, file);
  } catch {
    // A file to be written only: memory.reclaim.
    return undefined;
  }
  if (text === undefined) {
    return fallback === undefined ? undefined : earlierValue(directory, { ...fallback, pointer });
  }
  const before = earlierText(file, text, value);
  return before === undefined ? undefined : { file, value: before, pointer };
}

/** cgroup-v2.rst, "Format": a value, values for keys, or keys with values of their own. */
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
