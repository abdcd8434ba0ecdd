import type { Pids } from "../../spec/types.ts";
import type { CgroupWrite, CurrentLimits } from "./cgroup-write.ts";

/**
 * 0 is a valid limit: nothing can be forked. The kernel checks it when init is cloned into the cgroup, so that no container could
 * ever be created with it; 1 leaves room for init and for nothing else, which is the same to the container. An update writes the
 * 0 itself.
 */
export function planPids(
  { limit }: Pids,
  pointer: string,
  { isUpdate = false }: CurrentLimits = {},
): CgroupWrite[] {
  if (limit === undefined) return [];
  const unlimited = limit < 0n;
  const value = unlimited ? "max" : limit === 0n && !isUpdate ? "1" : String(limit);
  return [{ file: "pids.max", value, pointer: `${pointer}/limit`, unlimited }];
}
