import { syscall } from "../../../bindings/ffi/syscall.ts";
import type { Program } from "../../../bindings/stub/program.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import {
  type SchedulingCall,
  scheduleItself,
  schedulingCalls,
  setMemoryPolicy,
  setPersonality,
} from "../../plan/process/attributes.ts";
import type { Linux, Process } from "../../spec/types.ts";
import type { Caller } from "../caller/caller.ts";

/** Scheduler, I/O priority, memory policy and personality: attributes of a single process. */
export interface TaskAttributes {
  /** Plans what the process sets itself, in the container's cgroup and before it gives up its rights. */
  readonly plan: (program: Program) => void;
  /** Sets the rest from outside, when all but the last program of the process has been run. */
  readonly apply: (pid: number) => void;
}

/** Returns undefined if nothing is asked for. */
export function taskAttributes(
  process: Process,
  { memoryPolicy, personality }: Linux,
  caller: Caller,
  ownUserNamespace: boolean,
): TaskAttributes | undefined {
  const { scheduler, ioPriority } = process;
  const wanted = scheduler ?? ioPriority ?? memoryPolicy ?? personality;
  if (wanted === undefined) return undefined;
  const calls = schedulingCalls(process);
  // Real-time policies and lower nice values need a right of the host (capabilities(7), CAP_SYS_NICE), which a process in a user
  // namespace never has. A runtime that has it sets them from outside; any other may change no more than the process itself.
  const fromOutside = ownUserNamespace && caller.privileged && !caller.inUserNamespace;
  return {
    plan: (program) => {
      if (memoryPolicy !== undefined) setMemoryPolicy(program, memoryPolicy);
      if (personality !== undefined) setPersonality(program, personality);
      if (!fromOutside) scheduleItself(program, calls);
    },
    apply: (pid) => {
      if (fromOutside) applyScheduling(pid, calls);
    },
  };
}

/** Makes the calls on a process of the container from outside, with the caller's rights. */
export function applyScheduling(pid: number, calls: readonly SchedulingCall[]): void {
  for (const { call, args, pointer, purpose } of calls) {
    onBehalfOf(pointer, purpose, () => syscall(call, args(pid)));
  }
}
