import { EFD_CLOEXEC, EFD_NONBLOCK } from "../abi/fcntl.ts";
import { syscall } from "../ffi/syscall.ts";
import { readSync, writeSync } from "./files.ts";
import { pollReadable } from "./poll-async.ts";

/** A wait for one descriptor. */
export interface Wait {
  /** Resolves when the descriptor can be read; never after `cancel`. */
  readonly readable: Promise<void>;
  /** Ends the wait, before the descriptor is closed. */
  cancel(): void;
}

interface Waiting {
  readonly fd: number;
  readonly resolve: () => void;
}

/**
 * Waits for any number of descriptors in one thread of the engine's pool, which has four: a long-lived program may wait for more
 * containers than that. An eventfd makes the thread look again when the list has changed. eventfd(2)
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
      // Who waits by then for a descriptor of the same number, which was closed meanwhile and opened anew, is not answered by this.
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
