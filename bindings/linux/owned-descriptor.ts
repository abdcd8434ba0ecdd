import { trySyscall } from "../ffi/syscall.ts";

/** A descriptor with several possible closers. Only the first close counts: afterwards the number may belong to another file. */
export class OwnedDescriptor {
  #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Negative once it is closed. */
  get number(): number {
    return this.#fd;
  }

  /** Ignores errors: the descriptor is gone in any case, and nothing was written that could be lost. close(2) */
  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) trySyscall("close", fd);
  }
}
