import { trySyscall } from "../ffi/syscall.ts";

/** A descriptor that is closed once, by whoever comes first: its number is another file's afterwards. */
export class OwnedDescriptor {
  #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Negative once it is closed. */
  get number(): number {
    return this.#fd;
  }

  /** Whatever close(2) says, the descriptor is gone; and nothing was written that could be lost. */
  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) trySyscall("close", fd);
  }
}
