import type { Cpu } from "../../spec/types.ts";
import { type CgroupWrite, type CurrentLimits, invalidResource, v1OnlyError } from "./cgroup-write.ts";

/** Times are microseconds. 0 means unset, as engines send it for that. */
export function planCpu(cpu: Cpu, pointer: string, current: CurrentLimits = {}): CgroupWrite[] {
  const { realtimeRuntime = 0n, realtimePeriod = 0n, cpus = "", mems = "" } = cpu;
  if (realtimeRuntime > 0n) throw v1OnlyError(`${pointer}/realtimeRuntime`);
  if (realtimePeriod !== 0n) throw v1OnlyError(`${pointer}/realtimePeriod`);
  const writes = [...planWeight(cpu, pointer), ...planBandwidth(cpu, pointer, current)];
  if (cpus !== "") writes.push({ file: "cpuset.cpus", value: cpus, pointer: `${pointer}/cpus` });
  if (mems !== "") writes.push({ file: "cpuset.mems", value: mems, pointer: `${pointer}/mems` });
  return writes;
}

/** The kernel refuses a weight while the cgroup is idle, so idle is cleared before the weight is written, and set after it. */
function planWeight({ shares = 0n, idle }: Cpu, pointer: string): CgroupWrite[] {
  const weight: CgroupWrite[] =
    shares === 0n
      ? []
      : [{ file: "cpu.weight", value: String(sharesToWeight(shares)), pointer: `${pointer}/shares` }];
  if (idle === undefined) return weight;
  const setting = {
    file: "cpu.idle",
    value: String(idle),
    pointer: `${pointer}/idle`,
    unlimited: idle === 0n,
  };
  return idle === 0n ? [setting, ...weight] : [...weight, setting];
}

/**
 * Converts cpu.shares (2 to 262144, default 1024) to cpu.weight (1 to 10000, default 100) by the quadratic in log2(shares) that runc
 * 1.3.2 and crun 1.23 agreed on. It maps both ends and the default onto each other.
 */
export function sharesToWeight(shares: bigint): number {
  if (shares <= 2n) return 1;
  if (shares >= 262144n) return 10000;
  const log = Math.log2(Number(shares));
  return Math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34));
}

function planBandwidth(cpu: Cpu, pointer: string, current: CurrentLimits): CgroupWrite[] {
  const { quota = 0n, period = 0n, burst } = cpu;
  if (quota > 0n && burst !== undefined && burst > quota) {
    throw invalidResource(`${pointer}/burst`, `${burst} exceeds the quota ${quota}`);
  }
  const burstWrite = (value: bigint): CgroupWrite => {
    const unlimited = value === 0n;
    return { file: "cpu.max.burst", value: String(value), pointer: `${pointer}/burst`, unlimited };
  };
  if (quota === 0n && period === 0n) return burst === undefined ? [] : [burstWrite(burst)];
  const field = pointer + (quota === 0n ? "/period" : "/quota");
  const max = { file: "cpu.max", ...bandwidth(quota, period, current), pointer: field };
  if (burst === undefined) return [max];
  // The kernel requires burst <= quota at any time, for old and new values alike: clear the burst, set the quota, set the burst.
  return burst === 0n ? [burstWrite(0n), max] : [burstWrite(0n), max, burstWrite(burst)];
}

/** The kernel keeps the period if only the first field, the quota, is written. A period can't be written without a quota. */
function bandwidth(
  quota: bigint,
  period: bigint,
  current: CurrentLimits,
): { value: string; unlimited: boolean } {
  const first = quota > 0n ? String(quota) : quota === 0n ? (current.cpuQuota ?? "max") : "max";
  return { value: period === 0n ? first : `${first} ${period}`, unlimited: first === "max" };
}
