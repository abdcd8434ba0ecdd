import { EFD_CLOEXEC, EFD_NONBLOCK } from "../abi/fcntl.ts";
import { syscall } from "../ffi/syscall.ts";
import { readSync, writeSync } from "./files.ts";
import { pollReadable } from "./poll-async.ts";

/** A pending wait for one descriptor. */
export interface Wait {
  /** Resolves when the descriptor is readable; never after `cancel`. */
  readonly readable: Promise<void>;
  /** Ends the wait. Call this before the descriptor is closed. */
  cancel(): void;
}

interface Waiting {
  readonly fd: number;
  readonly resolve: () => void;
}

/**
 * Waits for any number of descriptors in a single thread of the engine's pool. The pool has four, and a long-lived program may wait for more
 * containers than that. An eventfd wakes the thread when the list has changed. eventfd(2)
 */
export class DescriptorWatch {
  readonly #waiting = new Set<Waiting>();
  #eventfd: number | undefined;
  #polling = false;

  wait(fd: number): Wait {
    let waiting: Waiting | undefined;
    const readable = new Promise<void>((resolve) => {
      waiting = { fd, resolve };
      this.#waiting.add(waiting);
    });
    this.#changed();
    return {
      readable,
      cancel: () => {
        if (waiting !== undefined && this.#waiting.delete(waiting)) this.#changed();
      },
    };
  }

  #changed(): void {
    if (this.#polling) writeSync(this.#wake(), new Uint8Array(BigUint64Array.of(1n).buffer));
    else void this.#poll();
  }

  #wake(): number {
    this.#eventfd ??= syscall("eventfd2", [0, EFD_CLOEXEC | EFD_NONBLOCK]);
    return this.#eventfd;
  }

  async #poll(): Promise<void> {
    this.#polling = true;
    while (this.#waiting.size > 0) {
      const wake = this.#wake();
      // Only these waits are answered: a later one may be for a new file that got the number of a closed one.
      const asked = [...this.#waiting];
      const ready = new Set(await pollReadable([wake, ...asked.map(({ fd }) => fd)]));
      if (ready.has(wake)) readSync(wake, new Uint8Array(8));
      for (const waiting of asked) {
        if (ready.has(waiting.fd) && this.#waiting.delete(waiting)) waiting.resolve();
      }
    }
    this.#polling = false;
  }
}
