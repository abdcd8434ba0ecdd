import type { HugepageLimit } from "../../spec/types.ts";
import { type CgroupWrite, invalidResource } from "./cgroup-write.ts";

/** The kernel's "unlimited", in bytes: 2^64 - 1 is clamped to it. */
const UNLIMITED = 0xffffffffffffffffn;

/** Both accountings, as config-linux.md asks: reservations where the kernel (5.7) has them, and page faults. */
export function planHugepages(limits: readonly HugepageLimit[], pointer: string): CgroupWrite[] {
  return limits.flatMap(({ pageSize, limit }, index) => {
    // The size becomes part of a file name: nothing but a size may pass.
    if (!/^[1-9][0-9]*[KMG]B$/.test(pageSize)) {
      throw invalidResource(
        `${pointer}/${index}/pageSize`,
        `${JSON.stringify(pageSize)} is not a page size like "2MB"`,
      );
    }
    const write = {
      value: limit === UNLIMITED ? "max" : String(limit),
      pointer: `${pointer}/${index}/limit`,
      unlimited: limit === UNLIMITED,
    };
    return [
      { ...write, file: `hugetlb.${pageSize}.max` },
      { ...write, file: `hugetlb.${pageSize}.rsvd.max`, optional: true },
    ];
  });
}
