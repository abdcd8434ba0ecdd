import type { NativeArgument } from "../ffi/koffi.ts";
import { guardHolds } from "./guard.ts";
import type { Operation, Program } from "./program.ts";

/** An operation that a process has run, and its result. */
export interface RunOperation {
  readonly operation: Operation;
  readonly index: number;
  readonly result: number;
}

/**
 * Follows which process is at the other end of each channel, and what its registers hold, since guards on them decide which operations
 * it skips. `--debug` and `--profile` tell by it which operations a process has run.
 */
export class StubProcesses {
  /** Our ends by theirs. */
  readonly #pairs = new Map<number, number>();
  readonly #names = new Map<number, string>();
  readonly #registers = new Map<number, Map<number, number>>();

  /** `ends` is what socketpair(2) has filled in. */
  pair(ends: NativeArgument | undefined): void {
    if (!(ends instanceof Uint8Array)) return;
    const [ours = -1, theirs = -1] = new Int32Array(ends.buffer, ends.byteOffset, 2);
    this.#pairs.set(theirs, ours);
  }

  /** Names the process at the other end of a channel. A descriptor's number may be used again, for a new process. */
  serve(theirs: number, name: string): void {
    const ours = this.#pairs.get(theirs) ?? -1;
    this.#names.set(ours, name);
    this.#registers.delete(ours);
  }

  nameOf(ours: number): string {
    return this.#names.get(ours) ?? "stub";
  }

  /** The operations of a program that the process has run itself, by the results of its reply. */
  run(ours: number, { operations }: Program, results: readonly number[]): RunOperation[] {
    const values = this.#registers.get(ours) ?? new Map<number, number>();
    this.#registers.set(ours, values);
    // Operations before the clone were run by the stub that made it.
    const first =
      this.nameOf(ours) === "stub" ? 0 : operations.findIndex(({ call }) => call === "clone3") + 1;
    const run: RunOperation[] = [];
    results.forEach((result, index) => {
      const operation = operations[index];
      if (operation === undefined || !guardHolds(operation, values)) return;
      if (operation.into !== undefined) values.set(operation.into.register, result);
      if (index >= first) run.push({ operation, index, result });
    });
    return run;
  }
}

/** The channel's end that a program gives to the clone of its stub; undefined if it makes no clone. */
export function cloneChannel({ operations }: Program): number | undefined {
  const channel = operations.find(({ call }) => call === "set-channel")?.args[0];
  return typeof channel === "number" ? channel : undefined;
}
