import * as sched from "../../../bindings/abi/sched.ts";
import { data, type Program } from "../../../bindings/stub/program.ts";
import type { MemoryPolicy } from "../../spec/types.ts";
import { numberMask } from "./number-mask.ts";

/** MPOL_* by name: set_mempolicy(2). */
export const memoryPolicyModes: Readonly<Record<MemoryPolicy["mode"], number>> = {
  MPOL_DEFAULT: sched.MPOL_DEFAULT,
  MPOL_BIND: sched.MPOL_BIND,
  MPOL_INTERLEAVE: sched.MPOL_INTERLEAVE,
  MPOL_WEIGHTED_INTERLEAVE: sched.MPOL_WEIGHTED_INTERLEAVE,
  MPOL_PREFERRED: sched.MPOL_PREFERRED,
  MPOL_PREFERRED_MANY: sched.MPOL_PREFERRED_MANY,
  MPOL_LOCAL: sched.MPOL_LOCAL,
};

export const memoryPolicyFlags: Readonly<Record<string, number>> = {
  MPOL_F_NUMA_BALANCING: sched.MPOL_F_NUMA_BALANCING,
  MPOL_F_RELATIVE_NODES: sched.MPOL_F_RELATIVE_NODES,
  MPOL_F_STATIC_NODES: sched.MPOL_F_STATIC_NODES,
};

/**
 * Sets the NUMA memory policy, which execve(2) keeps. The kernel judges the nodes by the cpuset of the cgroup that the process
 * is in by then.
 */
export function setMemoryPolicy(program: Program, { mode, nodes = "", flags = [] }: MemoryPolicy): void {
  let value = memoryPolicyModes[mode];
  for (const flag of flags) value |= memoryPolicyFlags[flag] ?? 0;
  const mask = numberMask(nodes);
  const on = mask.length === 0 ? "" : ` on the nodes ${nodes}`;
  program.about("/linux/memoryPolicy", `set the memory policy ${[mode, ...flags].join("|")}${on}`);
  // The kernel takes one bit less than maxnode says: set_mempolicy(2), "C library/kernel differences".
  const args = mask.length === 0 ? [0, 0] : [data(mask), 8 * mask.length + 1];
  program.do("set_mempolicy", [value, ...args]);
}
