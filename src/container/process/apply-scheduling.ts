import { syscall } from "../../../bindings/ffi/syscall.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import type { SchedulingCall } from "../../plan/process/attributes.ts";

/** Makes the calls on a process of the container from outside, with the caller's rights. */
export function applyScheduling(pid: number, calls: readonly SchedulingCall[]): void {
  for (const { call, args, pointer, purpose } of calls) {
    onBehalfOf(pointer, purpose, () => syscall(call, args(pid)));
  }
}
