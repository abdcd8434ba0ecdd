import type { NativeArgument } from "../ffi/koffi.ts";
import { guardHolds } from "./guard.ts";
import type { Operation, Program } from "./program.ts";

/** An operation that a process has run, and its result. `index` is its place in the program. */
export interface RunOperation {
  readonly operation: Operation;
  readonly index: number;
  readonly result: number;
}

/**
 * Tracks the process at the other end of each channel and its registers. Guards on these decide which operations are skipped, so `--debug`
 * and `--profile` can tell which ones a process has run.
 */
export class StubProcesses {
  /** Our end of each channel, by the stub's. */
  readonly #pairs = new Map<number, number>();
  readonly #names = new Map<number, string>();
  readonly #registers = new Map<number, Map<number, number>>();

  /** Notes a channel. `ends` is the array that socketpair(2) has filled in. */
  pair(ends: NativeArgument | undefined): void {
    if (!(ends instanceof Uint8Array)) return;
    const [ours = -1, theirs = -1] = new Int32Array(ends.buffer, ends.byteOffset, 2);
    this.#pairs.set(theirs, ours);
  }

  /** Names the process that serves a channel, and forgets the registers of an earlier one with the same descriptor. */
  serve(theirs: number, name: string): void {
    const ours = this.#pairs.get(theirs) ?? -1;
    this.#names.set(ours, name);
    this.#registers.delete(ours);
  }

  nameOf(ours: number): string {
    return this.#names.get(ours) ?? "stub";
  }

  /** The operations of a program that the process itself has run, from the results of its reply. */
  run(ours: number, { operations }: Program, results: readonly number[]): RunOperation[] {
    const values = this.#registers.get(ours) ?? new Map<number, number>();
    this.#registers.set(ours, values);
    // The stub ran the operations before the clone.
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

/** The clone's end of the channel that a program gives it; undefined if the program makes no clone. */
export function cloneChannel({ operations }: Program): number | undefined {
  const channel = operations.find(({ call }) => call === "set-channel")?.args[0];
  return typeof channel === "number" ? channel : undefined;
}
