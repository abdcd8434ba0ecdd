import { pointerToken } from "../../spec/json/scanner.ts";
import type { Rdma } from "../../spec/types.ts";
import { type CgroupWrite, invalidResource } from "./cgroup-write.ts";

/** The kernel parses signed numbers: what is beyond them is as good as unlimited. */
const INT_MAX = 0x7fffffff;

export function planRdma(devices: Readonly<Record<string, Rdma>>, pointer: string): CgroupWrite[] {
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

function rdmaLimit(value: number): string {
  return value > INT_MAX ? "max" : String(value);
}
