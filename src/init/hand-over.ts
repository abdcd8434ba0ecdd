import type { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import type { Program, Register } from "../../bindings/stub/program.ts";
import type { InitPlan } from "../plan/init-plan.ts";

/** How many descriptors a program may carry when one more is added. The kernel's limit is SCM_MAX_FD, 253, and other steps add theirs. unix(7) */
const MOST_DESCRIPTORS = 200;

/** For the descriptors that the runtime opens in init's place, and hands to it with a program. */
export interface HandOver {
  /** The pid of init. */
  readonly pid: number;
  /** Gets the opened descriptors, to be closed when the program has been sent. */
  readonly opened: OwnedDescriptor[];
}

/** Gives init a descriptor of the runtime, one of as many as a list in the config has entries: when a program is full, it is run first. */
export function handOver(program: Program, plan: InitPlan, fd: number): Register {
  if (program.descriptors.length >= MOST_DESCRIPTORS) plan.runSoFar(program);
  return program.descriptor(fd);
}
