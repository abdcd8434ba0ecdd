/**
 * Maps `linux.resources` to writes of cgroup v2 files, one `plan` function per controller. The short ones are here; memory, cpu and
 * block-io convert values of cgroup v1 and have a file each.
 *
 * Each write carries the pointer of its property, and says if it may be skipped where the kernel lacks the file: `create` and `explain`
 * need no more. Some tables go by the names of files, since `unified` can write to any file, too: `hint` in apply.ts for errors, UNSET
 * in update.ts for the undo of files with several lines, LIMITS in systemd/properties.ts.
 *
 * docs/source-guide.md, "A new cgroup controller", lists the other files that a controller needs.
 */
import { pointerToken } from "../../spec/json/scanner.ts";
import type { HugepageLimit, LinuxResources, NetworkResources, Pids, Rdma } from "../../spec/types.ts";
import { planBlockIo } from "./block-io.ts";
import { type CgroupWrite, type CurrentLimits, invalidResource, v1OnlyError } from "./cgroup-write.ts";
import { planCpu } from "./cpu.ts";
import { planMemory } from "./memory.ts";

const RESOURCES = "/linux/resources";

/** All writes for `linux.resources`, in order. Device rules become a BPF program instead: see devices/rules.ts. */
export function planResources(resources: LinuxResources, current: CurrentLimits = {}): CgroupWrite[] {
  const { network, pids, memory, blockIO, cpu, hugepageLimits, rdma, unified } = resources;
  refuseNetwork(network, `${RESOURCES}/network`);
  return [
    ...(pids === undefined ? [] : planPids(pids, `${RESOURCES}/pids`, current)),
    ...(memory === undefined ? [] : planMemory(memory, `${RESOURCES}/memory`, current)),
    ...(blockIO === undefined ? [] : planBlockIo(blockIO, `${RESOURCES}/blockIO`)),
    ...(cpu === undefined ? [] : planCpu(cpu, `${RESOURCES}/cpu`, current)),
    ...(hugepageLimits === undefined ? [] : planHugepages(hugepageLimits, `${RESOURCES}/hugepageLimits`)),
    ...(rdma === undefined ? [] : planRdma(rdma, `${RESOURCES}/rdma`)),
    // Last, so that a value given for the file itself wins.
    ...(unified === undefined ? [] : planUnified(unified, `${RESOURCES}/unified`)),
  ];
}

/** net_cls and net_prio exist in v1 only. */
function refuseNetwork(network: NetworkResources | undefined, pointer: string): void {
  if (network?.classID) throw v1OnlyError(`${pointer}/classID`);
  if (network?.priorities?.length) throw v1OnlyError(`${pointer}/priorities`);
}

/**
 * 0 is a valid limit: nothing can be forked. But the kernel checks it when init is cloned into the cgroup, so no container could be
 * created with it. `create` writes 1 instead, which leaves room only for init and is the same to the container. An update writes
 * the 0 itself.
 */
function planPids({ limit }: Pids, pointer: string, { isUpdate = false }: CurrentLimits): CgroupWrite[] {
  if (limit === undefined) return [];
  const unlimited = limit < 0n;
  const value = unlimited ? "max" : limit === 0n && !isUpdate ? "1" : String(limit);
  return [{ file: "pids.max", value, pointer: `${pointer}/limit`, unlimited }];
}

/** "Unlimited" for hugetlb, in bytes: the kernel clamps 2^64 - 1 to its maximum. */
const UNLIMITED_HUGEPAGES = 0xffffffffffffffffn;

/** Limits both reservations (where the kernel counts them, since 5.7) and page faults, as config-linux.md asks. */
function planHugepages(limits: readonly HugepageLimit[], pointer: string): CgroupWrite[] {
  return limits.flatMap(({ pageSize, limit }, index) => {
    // The size becomes part of a file name, so nothing but a size may pass.
    if (!/^[1-9][0-9]*[KMG]B$/.test(pageSize)) {
      throw invalidResource(
        `${pointer}/${index}/pageSize`,
        `${JSON.stringify(pageSize)} is not a page size like "2MB"`,
      );
    }
    const unlimited = limit === UNLIMITED_HUGEPAGES;
    const write = {
      value: unlimited ? "max" : String(limit),
      pointer: `${pointer}/${index}/limit`,
      unlimited,
    };
    return [
      { ...write, file: `hugetlb.${pageSize}.max` },
      { ...write, file: `hugetlb.${pageSize}.rsvd.max`, optional: true },
    ];
  });
}

function planRdma(devices: Readonly<Record<string, Rdma>>, pointer: string): CgroupWrite[] {
  return Object.entries(devices).map(([device, { hcaHandles, hcaObjects }]) => {
    const here = `${pointer}/${pointerToken(device)}`;
    if (!/^[^\s/]+$/.test(device)) throw invalidResource(here, "is not the name of an RDMA device");
    if (hcaHandles === undefined && hcaObjects === undefined) {
      throw invalidResource(here, "needs hcaHandles or hcaObjects");
    }
    const handles = hcaHandles === undefined ? "" : ` hca_handle=${rdmaLimit(hcaHandles)}`;
    const objects = hcaObjects === undefined ? "" : ` hca_object=${rdmaLimit(hcaObjects)}`;
    return { file: "rdma.max", value: `${device}${handles}${objects}`, pointer: here };
  });
}

/** The kernel parses a signed 32-bit number. A limit beyond its range is as good as none. */
function rdmaLimit(value: number): string {
  return value > 0x7fffffff ? "max" : String(value);
}

/** Each key is a file of the cgroup. Each line of a value is a write of its own, as the kernel takes one setting a write. */
function planUnified(unified: Readonly<Record<string, string>>, pointer: string): CgroupWrite[] {
  return Object.entries(unified).flatMap(([file, text]) => {
    const here = `${pointer}/${pointerToken(file)}`;
    // CONTROLLER.PARAMETER, which also keeps the name inside the cgroup's directory.
    if (!/^[^./\s\0]+(\.[^./\s\0]+)+$/.test(file)) {
      throw invalidResource(here, "is not the name of a cgroup file, CONTROLLER.PARAMETER");
    }
    const lines = text.split("\n").filter((line) => line !== "");
    // write(2) of no bytes does nothing: an empty value, which resets a cpuset, needs a newline.
    return (lines.length === 0 ? ["\n"] : lines).map((value) => ({ file, value, pointer: here }));
  });
}
