import { UNSET_SWAPPINESS } from "../../spec/rules/resources.ts";
import type { Memory } from "../../spec/types.ts";
import { type CgroupWrite, type CurrentLimits, invalidResource, v1OnlyError } from "./cgroup-write.ts";

/** Values are bytes. -1 is unlimited. 0 means unset, as engines send it for that. */
export function planMemory(memory: Memory, pointer: string, current: CurrentLimits = {}): CgroupWrite[] {
  refuseV1Only(memory, pointer);
  const { limit = 0n, reservation = 0n } = memory;
  const writes: CgroupWrite[] = [];
  const swap = convertSwap(memory, current.memoryLimit ?? 0n, `${pointer}/swap`);
  if (swap !== undefined) {
    // Without swap accounting the file is missing. No swap and unlimited swap then make no difference to the container.
    const unlimited = swap === "max" || swap === "0";
    writes.push({ file: "memory.swap.max", value: swap, pointer: `${pointer}/swap`, unlimited });
  }
  if (limit !== 0n) writes.push(byteLimit("memory.max", limit, `${pointer}/limit`));
  if (reservation !== 0n) writes.push(byteLimit("memory.low", reservation, `${pointer}/reservation`));
  return writes;
}

function byteLimit(file: string, value: bigint, pointer: string): CgroupWrite {
  if (value < -1n) throw invalidResource(pointer, `${value} is neither a number of bytes nor -1`);
  return { file, value: value === -1n ? "max" : String(value), pointer, unlimited: value === -1n };
}

/**
 * `swap` counts memory and swap together, memory.swap.max counts swap alone. Unlimited memory without a value for swap makes swap
 * unlimited too, as v1 did.
 */
function convertSwap(memory: Memory, currentLimit: bigint, pointer: string): string | undefined {
  const { swap = 0n, limit = 0n } = memory;
  if (swap === 0n) return limit === -1n ? "max" : undefined;
  if (swap === -1n) return "max";
  if (swap < -1n) throw invalidResource(pointer, `${swap} is neither a number of bytes nor -1`);
  const effective = limit === 0n ? currentLimit : limit;
  if (effective === 0n)
    throw invalidResource(pointer, "needs a memory limit, as it counts memory and swap together");
  if (effective < 0n) throw invalidResource(pointer, "must be unlimited (-1), as the memory limit is");
  if (swap < effective) {
    throw invalidResource(
      pointer,
      `${swap} is below the memory limit ${effective}, but it counts memory and swap together`,
    );
  }
  return String(swap - effective);
}

/** useHierarchy is ignored: v2 is always hierarchical, and callers send `false` for "unset". */
function refuseV1Only(memory: Memory, pointer: string): void {
  const { kernel = 0n, kernelTCP = 0n, swappiness = 0n, disableOOMKiller = false } = memory;
  if (kernel > 0n) throw v1OnlyError(`${pointer}/kernel`);
  if (kernelTCP > 0n) throw v1OnlyError(`${pointer}/kernelTCP`);
  if (swappiness > 0n && swappiness !== UNSET_SWAPPINESS) throw v1OnlyError(`${pointer}/swappiness`);
  if (disableOOMKiller) throw v1OnlyError(`${pointer}/disableOOMKiller`);
}

/**
 * Refuses limits that are not above the usage, given in bytes: the kernel would enforce them by killing. The messages are runc's.
 */
export function checkUsage(memory: Memory, usage: bigint, swapUsage: bigint, pointer: string): void {
  const { limit = 0n, swap = 0n } = memory;
  if (limit > 0n && limit <= usage) {
    throw invalidResource(`${pointer}/limit`, `rejecting memory limit ${limit} <= usage ${usage}`);
  }
  const sum = usage + swapUsage;
  if (swap > 0n && swap <= sum)
    throw invalidResource(`${pointer}/swap`, `rejecting memory+swap limit ${swap} <= usage ${sum}`);
}
