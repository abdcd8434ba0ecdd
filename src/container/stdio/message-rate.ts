/** Number of messages that a container may send at once, and each second from then on. A service sends far fewer. */
const BURST = 100;
const PER_SECOND = 100;

/** Limits the messages that are passed on. Others stay in the queue of their socket, so that their senders wait: none is dropped. */
export class MessageRate {
  #allowed = BURST;
  #countedAt: number;

  /** Times are in milliseconds, of a clock that nobody sets. */
  constructor(now: number) {
    this.#countedAt = now;
  }

  /** Returns how long the next message has to wait. */
  waitMs(now: number): number {
    this.#allowed = Math.min(BURST, this.#allowed + ((now - this.#countedAt) * PER_SECOND) / 1000);
    this.#countedAt = now;
    return this.#allowed >= 1 ? 0 : Math.ceil(((1 - this.#allowed) * 1000) / PER_SECOND);
  }

  /** Counts a message that has been passed on. */
  count(): void {
    this.#allowed -= 1;
  }
}
