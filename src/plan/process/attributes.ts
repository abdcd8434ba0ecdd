import { sched_attr } from "../../../bindings/abi/layouts.ts";
import { PER_LINUX, PER_LINUX32 } from "../../../bindings/abi/personality.ts";
import * as sched from "../../../bindings/abi/sched.ts";
import { data, type Program } from "../../../bindings/stub/program.ts";
import { parseNumberList } from "../../spec/number-list.ts";
import type {
  ExecCpuAffinity,
  IoPriority,
  MemoryPolicy,
  Personality,
  Process,
  Scheduler,
} from "../../spec/types.ts";

/** Attributes of a process that execve(2) preserves: scheduling policy, I/O priority, CPU affinity, NUMA memory policy, personality. */

/** A system call that sets an attribute of a process: its own (pid 0), or another one's. */
export interface SchedulingCall {
  readonly call: "sched_setattr" | "ioprio_set";
  readonly args: (pid: number) => readonly (number | Uint8Array)[];
  readonly pointer: string;
  readonly purpose: string;
}

export function schedulingCalls({ scheduler, ioPriority }: Process): SchedulingCall[] {
  return [
    ...(scheduler === undefined ? [] : [schedulerCall(scheduler)]),
    ...(ioPriority === undefined ? [] : [ioPriorityCall(ioPriority)]),
  ];
}

/** Adds the calls as operations of the process itself. */
export function scheduleItself(program: Program, calls: readonly SchedulingCall[]): void {
  for (const { call, args, pointer, purpose } of calls) {
    program.about(pointer, purpose);
    program.do(
      call,
      args(0).map((arg) => (typeof arg === "number" ? arg : data(arg))),
    );
  }
}

/** sched_setattr(2) */
const POLICIES: Readonly<Record<Scheduler["policy"], number>> = {
  SCHED_OTHER: sched.SCHED_OTHER,
  SCHED_FIFO: sched.SCHED_FIFO,
  SCHED_RR: sched.SCHED_RR,
  SCHED_BATCH: sched.SCHED_BATCH,
  SCHED_ISO: sched.SCHED_ISO,
  SCHED_IDLE: sched.SCHED_IDLE,
  SCHED_DEADLINE: sched.SCHED_DEADLINE,
};

const FLAGS: Readonly<Record<string, number>> = {
  SCHED_FLAG_RESET_ON_FORK: sched.SCHED_FLAG_RESET_ON_FORK,
  SCHED_FLAG_RECLAIM: sched.SCHED_FLAG_RECLAIM,
  SCHED_FLAG_DL_OVERRUN: sched.SCHED_FLAG_DL_OVERRUN,
  SCHED_FLAG_KEEP_POLICY: sched.SCHED_FLAG_KEEP_POLICY,
  SCHED_FLAG_KEEP_PARAMS: sched.SCHED_FLAG_KEEP_PARAMS,
  SCHED_FLAG_UTIL_CLAMP_MIN: sched.SCHED_FLAG_UTIL_CLAMP_MIN,
  SCHED_FLAG_UTIL_CLAMP_MAX: sched.SCHED_FLAG_UTIL_CLAMP_MAX,
};

/** Resets sched_util_min and sched_util_max to the default: the specification has flags for the two, but no values. */
const RESET_CLAMP = 0xffffffff;

function schedulerCall(scheduler: Scheduler): SchedulingCall {
  const { policy, nice = 0, priority = 0, flags = [] } = scheduler;
  const { runtime = 0n, deadline = 0n, period = 0n } = scheduler;
  const attributes = new Uint8Array(sched_attr.size);
  const view = new DataView(attributes.buffer);
  let bits = 0;
  for (const flag of flags) bits |= FLAGS[flag] ?? 0;
  view.setUint32(0, sched_attr.size, true);
  view.setUint32(sched_attr.sched_policy, POLICIES[policy], true);
  view.setBigUint64(sched_attr.sched_flags, BigInt(bits), true);
  view.setInt32(sched_attr.sched_nice, nice, true);
  view.setUint32(sched_attr.sched_priority, priority, true);
  view.setBigUint64(sched_attr.sched_runtime, runtime, true);
  view.setBigUint64(sched_attr.sched_deadline, deadline, true);
  view.setBigUint64(sched_attr.sched_period, period, true);
  if (bits & sched.SCHED_FLAG_UTIL_CLAMP_MIN) view.setUint32(sched_attr.sched_util_min, RESET_CLAMP, true);
  if (bits & sched.SCHED_FLAG_UTIL_CLAMP_MAX) view.setUint32(sched_attr.sched_util_max, RESET_CLAMP, true);
  return {
    call: "sched_setattr",
    args: (pid) => [pid, attributes, 0],
    pointer: "/process/scheduler",
    purpose: `set the scheduling policy ${[policy, ...flags].join("|")}`,
  };
}

const CLASSES: Readonly<Record<IoPriority["class"], number>> = {
  IOPRIO_CLASS_RT: sched.IOPRIO_CLASS_RT,
  IOPRIO_CLASS_BE: sched.IOPRIO_CLASS_BE,
  IOPRIO_CLASS_IDLE: sched.IOPRIO_CLASS_IDLE,
};

/**
 * Sets the I/O priority of the process alone, as runc and crun do, though the specification speaks of its process group. The process leads a
 * new session and is alone in its group at that time, and its children inherit the priority.
 */
function ioPriorityCall(wanted: IoPriority): SchedulingCall {
  const value = (CLASSES[wanted.class] << sched.IOPRIO_CLASS_SHIFT) | wanted.priority;
  return {
    call: "ioprio_set",
    args: (pid) => [sched.IOPRIO_WHO_PROCESS, pid, value],
    pointer: "/process/ioPriority",
    purpose: `set the I/O priority ${wanted.class} ${wanted.priority}`,
  };
}

/** Steps that set the CPUs of an exec'd process; each is undefined if the config sets none. config.md, process.execCPUAffinity */
export interface CpuAffinity {
  /** Before the process is cloned into the cgroup; the clone inherits the mask. */
  readonly initial: ((program: Program) => void) | undefined;
  /** Once the process is in the cgroup. */
  readonly final: ((program: Program) => void) | undefined;
}

export function cpuAffinity({ initial = "", final = "" }: ExecCpuAffinity): CpuAffinity {
  return { initial: affinityStep("initial", initial), final: affinityStep("final", final) };
}

function affinityStep(name: keyof CpuAffinity, list: string): ((program: Program) => void) | undefined {
  if (list.trim() === "") return undefined;
  const mask = numberMask(list);
  return (program) => {
    program.about(`/process/execCPUAffinity/${name}`, `use the CPUs ${list}`);
    program.do("sched_setaffinity", [0, mask.length, data(mask)], { path: "" });
  };
}

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
 * Sets the NUMA memory policy. The kernel checks the nodes against the cpuset of the process's cgroup, so the process has to be in its cgroup
 * already.
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

/** Sets the execution domain. personality(2) */
export function setPersonality(program: Program, { domain }: Personality): void {
  program.about("/linux/personality", `set the personality ${domain}`);
  program.do("personality", [domain === "LINUX32" ? PER_LINUX32 : PER_LINUX]);
}

/**
 * Turns a list such as "0-3,7" into a mask of CPUs or NUMA nodes, as the kernel takes it: little-endian words of 64 bits, as many as the largest
 * number needs.
 */
export function numberMask(list: string): Uint8Array {
  const ranges = parseNumberList(list) ?? [];
  const largest = Math.max(-1, ...ranges.map(([, last]) => last));
  const mask = new Uint8Array(8 * Math.ceil((largest + 1) / 64));
  for (const [first, last] of ranges) {
    for (let number = first; number <= last; number++) {
      const byte = number >> 3;
      mask[byte] = (mask[byte] ?? 0) | (1 << (number & 7));
    }
  }
  return mask;
}
