import type { Report, Rule } from "../issues.ts";
import { pointerToken } from "../json/scanner.ts";
import type { Config } from "../types.ts";

/** -1 in an unsigned field: engines send it for "unset". */
export const UNSET_SWAPPINESS = 0xffffffffffffffffn;

/** Rules for the values alone. Whether the host's controllers support them shows when they are applied: src/cgroup/limits. */
export const resourceRules: readonly Rule[] = [
  { reads: ["/linux/resources/devices"], check: deviceRules },
  { reads: ["/linux/resources/memory"], check: memoryRules },
  { reads: ["/linux/resources/cpu"], check: cpuRules },
  { reads: ["/linux/resources/blockIO"], check: blockRules },
  { reads: ["/linux/resources/rdma"], check: rdmaRules },
  { reads: ["/linux/resources/unified"], check: unifiedRules },
];

/** As in runc, a rule without access is refused if it allows, as it could mean everything or nothing. One that denies denies all access. */
function deviceRules({ linux }: Config, report: Report): void {
  for (const [index, { allow, access }] of (linux?.resources?.devices ?? []).entries()) {
    const at = `/linux/resources/devices/${index}`;
    if (access === "") report(`${at}/access`, "must not be empty");
    if (access === undefined && allow) report(at, "must have access, since it allows");
  }
}

function memoryRules({ linux }: Config, report: Report): void {
  const memory = linux?.resources?.memory;
  if (memory === undefined) return;
  const { limit = 0n, swap = 0n, swappiness = 0n } = memory;
  const at = "/linux/resources/memory";
  // `swap` is memory and swap together; -1 is unlimited and 0 is unset.
  if (swap > 0n && limit === 0n) report(`${at}/swap`, "needs a memory limit");
  if (swap > 0n && limit === -1n) report(`${at}/swap`, "must be unlimited (-1) as the memory limit is");
  if (swap > 0n && swap < limit) report(`${at}/swap`, `must not be below the memory limit ${limit}`);
  if (swappiness > 100n && swappiness !== UNSET_SWAPPINESS)
    report(`${at}/swappiness`, "must be from 0 to 100");
}

function cpuRules({ linux }: Config, report: Report): void {
  const cpu = linux?.resources?.cpu;
  if (cpu === undefined) return;
  const { quota = 0n, burst = 0n, idle = 0n, shares = 0n } = cpu;
  const at = "/linux/resources/cpu";
  if (quota > 0n && burst > quota) report(`${at}/burst`, `must not exceed the quota ${quota}`);
  if (idle !== 0n && idle !== 1n) report(`${at}/idle`, "must be 0 or 1");
  if (idle === 1n && shares !== 0n) report(`${at}/shares`, "must not be set together with idle");
}

function blockRules({ linux }: Config, report: Report): void {
  const blockIO = linux?.resources?.blockIO;
  if (blockIO === undefined) return;
  const at = "/linux/resources/blockIO";
  weightRule(blockIO.weight, `${at}/weight`, report);
  for (const [index, device] of (blockIO.weightDevice ?? []).entries()) {
    const here = `${at}/weightDevice/${index}`;
    weightRule(device.weight, `${here}/weight`, report);
    if (device.weight === undefined && device.leafWeight === undefined) {
      report(here, "must have weight or leafWeight");
    }
  }
}

/** The range of the kernel's BFQ scheduler, but from 10 on, the lowest weight of the spec. 0 is unset. */
function weightRule(weight: number | undefined, pointer: string, report: Report): void {
  if (weight === undefined || weight === 0 || (weight >= 10 && weight <= 1000)) return;
  report(pointer, "must be from 10 to 1000");
}

function rdmaRules({ linux }: Config, report: Report): void {
  for (const [device, { hcaHandles, hcaObjects }] of Object.entries(linux?.resources?.rdma ?? {})) {
    if (hcaHandles !== undefined || hcaObjects !== undefined) continue;
    report(`/linux/resources/rdma/${pointerToken(device)}`, "must have hcaHandles or hcaObjects");
  }
}

/** A key becomes a file name in the container's cgroup and must not lead out of it. */
function unifiedRules({ linux }: Config, report: Report): void {
  for (const key of Object.keys(linux?.resources?.unified ?? {})) {
    if (/^[^/]+$/.test(key) && key !== "." && key !== "..") continue;
    report(`/linux/resources/unified/${pointerToken(key)}`, "must be the name of a cgroup file");
  }
}
