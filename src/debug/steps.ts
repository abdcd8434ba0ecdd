import { errnoMessage, errnoName } from "../../bindings/abi/errno.ts";
import { onKernel } from "../../bindings/ffi/syscall.ts";
import type { Log } from "../log.ts";

/** Something that has been done, or tried, for one property. */
export interface Step {
  /** `runtime`, or the process that a stub is: `stub`, `init`, a hook. */
  readonly by: string;
  /** Empty for what no property asks for. */
  readonly pointer: string;
  readonly purpose: string;
  /** What of it has failed, where something has. */
  readonly failure?: string;
}

/** Writes each step to the log, once for all calls that it takes. */
export class StepLog {
  readonly #log: Log;
  #last = "";
  /** The hook that is running: all that is done meanwhile is done for it. */
  hook: { readonly name: string; readonly pointer: string } | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  tell({ by, pointer, purpose, failure }: Step): void {
    const asked = this.hook?.pointer ?? pointer;
    const message = `${by}: ${purpose}${failure === undefined ? "" : `: ${failure}`}`;
    const key = `${message} ${asked}`;
    if (key === this.#last) return;
    this.#last = key;
    // The calls that write it are none of the steps.
    onKernel(() => this.#log.debug(message, asked));
  }
}

/** `fsmount: permission denied` */
export function failureOf(call: string, errno: number): string {
  return `${call}: ${errnoMessage(errnoName(errno))}`;
}
