import type { LinuxResources } from "../../spec/types.ts";
import { planBlockIo } from "./block-io.ts";
import { type CgroupWrite, type CurrentLimits, v1OnlyError } from "./cgroup-write.ts";
import { planCpu } from "./cpu.ts";
import { planHugepages } from "./hugepages.ts";
import { planMemory } from "./memory.ts";
import { planPids } from "./pids.ts";
import { planRdma } from "./rdma.ts";
import { planUnified } from "./unified.ts";

const RESOURCES = "/linux/resources";

/** Everything to write for `linux.resources`, in order. Device rules are a program instead: see devices.ts. */
export function planResources(resources: LinuxResources, current: CurrentLimits = {}): CgroupWrite[] {
  refuseNetwork(resources);
  const { pids, memory, blockIO, cpu, hugepageLimits, rdma, unified } = resources;
  return [
    ...(pids === undefined ? [] : planPids(pids, `${RESOURCES}/pids`, current)),
    ...(memory === undefined ? [] : planMemory(memory, `${RESOURCES}/memory`, current)),
    ...(blockIO === undefined ? [] : planBlockIo(blockIO, `${RESOURCES}/blockIO`)),
    ...(cpu === undefined ? [] : planCpu(cpu, `${RESOURCES}/cpu`, current)),
    ...(hugepageLimits === undefined ? [] : planHugepages(hugepageLimits, `${RESOURCES}/hugepageLimits`)),
    ...(rdma === undefined ? [] : planRdma(rdma, `${RESOURCES}/rdma`)),
    // Last, so that a value given in the kernel's own terms wins.
    ...(unified === undefined ? [] : planUnified(unified, `${RESOURCES}/unified`)),
  ];
}

/** net_cls and net_prio exist in v1 only. */
function refuseNetwork({ network }: LinuxResources): void {
  if (network?.classID) throw v1OnlyError(`${RESOURCES}/network/classID`);
  if (network?.priorities?.length) throw v1OnlyError(`${RESOURCES}/network/priorities`);
}
