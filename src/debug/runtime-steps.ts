import { BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_PROG_LOAD } from "../../bindings/abi/bpf.ts";
import { EEXIST, ENOENT } from "../../bindings/abi/errno.ts";
import type { NativeArgument } from "../../bindings/ffi/koffi.ts";
import { currentPurpose } from "../../bindings/ffi/purpose.ts";
import { callKernel, type SyscallName } from "../../bindings/ffi/syscall.ts";
import type { StubProcesses } from "../../bindings/stub/stub-processes.ts";
import { failureOf, type StepLog } from "./steps.ts";

type Args = readonly NativeArgument[];

/** Makes the runtime's own calls, and logs the purpose of those that change something. */
export function loggingKernel(
  steps: StepLog,
  processes: StubProcesses,
): (name: SyscallName, args: Args) => number {
  return (name, args) => {
    const result = callKernel(name, args);
    if (name === "socketpair") processes.pair(args[3]);
    const { pointer, purpose } = currentPurpose();
    // A command's output and the lines of the log have no purpose. Any other step without one is logged by the name of its call.
    if ((purpose !== "" || name !== "write") && isStep(name, args, result)) {
      const failure = result < 0 ? failureOf(name, -result) : undefined;
      steps.tell({
        by: "runtime",
        pointer,
        purpose: purpose || name,
        ...(failure !== undefined && { failure }),
      });
    }
    return result;
  };
}

/** Whether a call changes something outside of the runtime. A failure that means there is nothing to do changes nothing. */
function isStep(call: SyscallName, args: Args, result: number): boolean {
  switch (call) {
    case "mkdirat":
      return result !== -EEXIST;
    case "unlinkat":
      return result !== -ENOENT;
    case "bpf":
      return [BPF_PROG_LOAD, BPF_PROG_ATTACH, BPF_PROG_DETACH].includes(Number(args[0]));
    case "prlimit64":
      return args[0] !== 0 && args[2] !== null;
    case "pidfd_send_signal":
    case "kill":
      return Number(args[1]) !== 0;
    case "write":
    case "pwrite64":
    case "renameat2":
    case "fchownat":
    case "sched_setattr":
    case "ioprio_set":
    case "umount2":
    case "bind":
    case "connect":
    case "process_vm_writev":
    case "pidfd_getfd":
      return true;
    default:
      return false;
  }
}
