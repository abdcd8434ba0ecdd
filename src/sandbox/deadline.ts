import { SIGKILL, SIGTERM } from "../../bindings/abi/signal.ts";
import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { pidfdOpen, pidfdSendSignal } from "../../bindings/linux/pidfd.ts";
import type { Awaited, EventSource } from "../container/stdio/foreground.ts";

/** Time that a program has after SIGTERM, to end by itself. */
const GRACE_MS = 5_000;

/** Ends a sandbox when its time is up: by SIGTERM to its program, and then by SIGKILL to all of it. */
export class Deadline implements EventSource {
  readonly #pidfd: number;
  #next: number;
  #hasPassed = false;

  constructor(pid: number, timeoutMs: number) {
    this.#pidfd = pidfdOpen(pid) ?? -1;
    this.#next = performance.now() + timeoutMs;
  }

  get hasPassed(): boolean {
    return this.#hasPassed;
  }

  /** Whole milliseconds until `forward` has something to do. */
  get remainingMs(): number {
    return Math.max(0, Math.ceil(this.#next - performance.now()));
  }

  awaited(): Awaited {
    return { descriptors: [], timeoutMs: this.remainingMs };
  }

  forward(): void {
    if (performance.now() < this.#next) return;
    const signal = this.#hasPassed ? SIGKILL : SIGTERM;
    withPurpose("", "end the sandbox: its time is up", () => pidfdSendSignal(this.#pidfd, signal));
    this.#hasPassed = true;
    this.#next = performance.now() + GRACE_MS;
  }

  finish(): void {}

  close(): void {
    closeSync(this.#pidfd);
  }
}
