import type {
  BlockIo,
  Cpu,
  DeviceRule,
  HugepageLimit,
  LinuxResources,
  Memory,
  ThrottleDevice,
  WeightDevice,
} from "../spec/types.ts";
import type { SavedDevice } from "./record/saved-state.ts";

/**
 * Returns the resources of a container after an update. 0 and "" mean that a value stays. Devices are replaced as a whole, and only if the
 * update has a list of them; the other lists are changed entry by entry.
 */
export function mergeResources(saved: LinuxResources, update: LinuxResources): LinuxResources {
  // cgroup v2 has nothing for `network`: an update may only have it without a value.
  const { devices, memory, cpu, pids, blockIO, hugepageLimits, rdma, unified, network, ...others } = update;
  return {
    ...saved,
    // There are no others: a new property that is not merged below does not compile, as `update` has to keep what it applies.
    ...(others satisfies Readonly<Record<string, never>>),
    ...(devices !== undefined && { devices }),
    ...(memory !== undefined && { memory: mergeMemory(saved.memory ?? {}, memory) }),
    ...(cpu !== undefined && { cpu: mergeCpu(saved.cpu ?? {}, cpu) }),
    ...(pids !== undefined && { pids: { ...saved.pids, ...pids } }),
    ...(blockIO !== undefined && { blockIO: mergeBlockIo(saved.blockIO ?? {}, blockIO) }),
    ...(hugepageLimits !== undefined && {
      hugepageLimits: mergeLists<HugepageLimit>(
        saved.hugepageLimits,
        hugepageLimits,
        ({ pageSize }) => pageSize,
      ),
    }),
    ...(rdma !== undefined && { rdma: { ...saved.rdma, ...rdma } }),
    ...(unified !== undefined && { unified: { ...saved.unified, ...unified } }),
  };
}

/**
 * Returns the resources to write for an update. `swap` counts memory and swap together, the kernel counts swap alone: with a new memory
 * limit and the old `swap` there is another value to write. `checkBeforeUpdate` of the config holds for all updates.
 */
export function resourcesToApply(update: LinuxResources, merged: LinuxResources): LinuxResources {
  if (update.memory === undefined) return update;
  const { limit = 0n, swap = 0n } = update.memory;
  const { swap: kept = 0n, checkBeforeUpdate } = merged.memory ?? {};
  const memory = {
    ...update.memory,
    ...(checkBeforeUpdate !== undefined && { checkBeforeUpdate }),
    ...(limit > 0n && swap === 0n && kept !== 0n && { swap: kept }),
  };
  return { ...update, memory };
}

/** Access of an added device that is being removed: it has no rule. */
export const NO_ACCESS = "";

/** The config's rules, then those of the devices that were added. */
export function rulesWithAdded(
  rules: readonly DeviceRule[] | undefined,
  devices: readonly SavedDevice[] | undefined,
): DeviceRule[] {
  const allowed = (devices ?? []).filter(({ access }) => access !== NO_ACCESS);
  const added = allowed.map(({ type, major, minor, access }) => {
    return { allow: true, type, major: BigInt(major), minor: BigInt(minor), access };
  });
  return [...(rules ?? []), ...added];
}

/** Unlimited memory without a word about swap makes swap unlimited too: the old `swap` would contradict it. */
function mergeMemory(saved: Memory, update: Memory): Memory {
  const memory = { ...saved, ...withoutUnset(update) };
  return memory.limit === -1n && (update.swap ?? 0n) === 0n ? without(memory, "swap") : memory;
}

/** An idle cgroup has no weight. 0 is a value of idle and of burst. */
function mergeCpu(saved: Cpu, update: Cpu): Cpu {
  const { idle, burst } = update;
  const cpu: Cpu = {
    ...saved,
    ...withoutUnset(update),
    ...(idle !== undefined && { idle }),
    ...(burst !== undefined && { burst }),
  };
  return idle === 1n && (update.shares ?? 0n) === 0n ? without(cpu, "shares") : cpu;
}

function mergeBlockIo(saved: BlockIo, update: BlockIo): BlockIo {
  const throttles = {
    ...mergeThrottles("throttleReadBpsDevice", saved, update),
    ...mergeThrottles("throttleWriteBpsDevice", saved, update),
    ...mergeThrottles("throttleReadIOPSDevice", saved, update),
    ...mergeThrottles("throttleWriteIOPSDevice", saved, update),
  };
  const { weightDevice } = update;
  return {
    ...saved,
    ...withoutUnset(update),
    ...throttles,
    ...(weightDevice !== undefined && {
      weightDevice: mergeLists<WeightDevice>(saved.weightDevice, weightDevice, deviceNumbers),
    }),
  };
}

type Throttle = Exclude<keyof BlockIo, "weight" | "leafWeight" | "weightDevice">;

function mergeThrottles(name: Throttle, saved: BlockIo, update: BlockIo): BlockIo {
  const given = update[name];
  if (given === undefined) return {};
  return { [name]: mergeLists<ThrottleDevice>(saved[name], given, deviceNumbers) };
}

function deviceNumbers({ major, minor }: { readonly major: bigint; readonly minor: bigint }): string {
  return `${major}:${minor}`;
}

/** Entries with the same key become one, in which later properties win. */
function mergeLists<Entry extends object>(
  saved: readonly Entry[] = [],
  update: readonly Entry[],
  keyOf: (entry: Entry) => string,
): Entry[] {
  const merged = new Map<string, Entry>();
  for (const entry of [...saved, ...update]) {
    const key = keyOf(entry);
    merged.set(key, { ...merged.get(key), ...entry });
  }
  return [...merged.values()];
}

function withoutUnset<Section extends object>(section: Section): Section {
  const copy = { ...section };
  for (const [name, value] of Object.entries(section)) {
    if (value === 0n || value === 0 || value === "") Reflect.deleteProperty(copy, name);
  }
  return copy;
}

function without<Section extends object>(section: Section, name: keyof Section): Section {
  const copy = { ...section };
  Reflect.deleteProperty(copy, name);
  return copy;
}
