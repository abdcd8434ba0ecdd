import type { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import type { Program, Register } from "../../bindings/stub/program.ts";
import type { InitPlan } from "../plan/init-plan.ts";

/** A program with this many descriptors is run before another is added. The kernel allows SCM_MAX_FD, 253, and other steps add theirs. unix(7) */
const MOST_DESCRIPTORS = 200;

/** The process that gets descriptors which the runtime opens in its place, and hands to it with a program. */
export interface HandOver {
  /** The pid of init. */
  readonly pid: number;
  /** Gets the opened descriptors, to be closed when the program has been sent. */
  readonly opened: OwnedDescriptor[];
}

/** Gives init a descriptor of the runtime. The config decides how many there are, so a program that is full is run first. */
export function handOver(program: Program, plan: InitPlan, fd: number): Register {
  if (program.descriptors.length >= MOST_DESCRIPTORS) plan.runSoFar(program);
  return program.descriptor(fd);
}
