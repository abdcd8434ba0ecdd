import { errnoMessage, errnoName } from "../../bindings/abi/errno.ts";
import { currentPurpose } from "../../bindings/ffi/purpose.ts";
import { onKernel } from "../../bindings/ffi/syscall.ts";
import { hookOf } from "../container/hooks/hooks.ts";
import type { Log } from "../log.ts";

/** Calls of one process with one purpose. */
export interface Step {
  /** `runtime`, or the name of a process that runs the stub: `stub`, `init`, `process`, a hook. */
  readonly by: string;
  /** Empty if no property asks for it. */
  readonly pointer: string;
  readonly purpose: string;
  /** The call that failed, and why. */
  readonly failure?: string;
}

/** Writes each step to the log, with one line for all of its calls. */
export class StepLog {
  readonly #log: Log;
  #last = "";

  constructor(log: Log) {
    this.#log = log;
  }

  tell({ by, pointer, purpose, failure }: Step): void {
    // While a hook runs, each step is the hook's.
    const asked = hookOf(currentPurpose())?.pointer ?? pointer;
    const message = `${by}: ${purpose}${failure === undefined ? "" : `: ${failure}`}`;
    const key = `${message} ${asked}`;
    if (key === this.#last) return;
    this.#last = key;
    // The calls that write the log are not steps.
    onKernel(() => this.#log.debug(message, asked));
  }
}

/** `fsmount: permission denied` */
export function failureOf(call: string, errno: number): string {
  return `${call}: ${errnoMessage(errnoName(errno))}`;
}
