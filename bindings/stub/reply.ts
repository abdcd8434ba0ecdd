import { ECANCELED, errnoName } from "../abi/errno.ts";
import { SyscallError } from "../syscall-error.ts";
import type { Operation, Reply } from "./program.ts";

/**
 * Decodes and verifies the reply to a program. The container may have taken over the stub. So a reply that no stub sends is an error here
 * (EPROTO), and its lengths, indexes and results go no further.
 */

/** struct reply of stub.c: the number of operations reached, the failed one included, and the errno of that one or 0. */
export interface Progress {
  readonly ran: number;
  readonly errno: number;
}

export const PROGRESS_LENGTH = 8;
/** The largest errno: MAX_ERRNO of linux/err.h. */
const MAX_ERRNO = 4095;

/** Decodes a struct reply. `operations` is the number of the program's operations, including those that take its descriptors. */
export function decodeProgress(bytes: Uint8Array, operations: number): Progress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const progress = { ran: view.getUint32(0, true), errno: view.getUint32(4, true) };
  if (!isPossible(progress, operations)) throw notOfAStub();
  return progress;
}

function isPossible({ ran, errno }: Progress, operations: number): boolean {
  if (errno === 0) return ran === operations;
  // The stub runs no operation of a program after a failed one.
  if (ran === 0) return errno === ECANCELED;
  return ran <= operations && errno <= MAX_ERRNO;
}

/**
 * Decodes the rest of a reply. `prologue` is the number of operations that take the program's descriptors, whose results are left out of the
 * Reply.
 */
export function decodeReply(
  { ran, errno }: Progress,
  rest: Uint8Array,
  program: {
    readonly operations: readonly Operation[];
    readonly outputs: readonly { readonly bytes: Uint8Array }[];
  },
  prologue: number,
): Reply {
  const results = resultsOf(rest, prologue, ran);
  const failure = errno === 0 ? undefined : { index: ran - 1 - prologue, errno };
  checkResults(results, program.operations, failure);
  const outputs: Uint8Array[] = [];
  let offset = RESULT_LENGTH * ran;
  for (const { bytes } of program.outputs) {
    outputs.push(rest.subarray(offset, offset + bytes.length));
    offset += (bytes.length + 7) & ~7;
  }
  return { results, outputs, failure };
}

export const RESULT_LENGTH = 8;

/** Results of 64 bits as numbers, without those of the prologue. Exact up to 2^53, enough for descriptors, pids and lengths. */
function resultsOf(bytes: Uint8Array, prologue: number, ran: number): number[] {
  const low = new Uint32Array(bytes.buffer);
  const high = new Int32Array(bytes.buffer);
  const results: number[] = [];
  for (let word = 2 * prologue; word < 2 * ran; word += 2) {
    results.push((high[word + 1] ?? 0) * 0x1_0000_0000 + (low[word] ?? 0));
  }
  return results;
}

/** Verifies that each failed operation has stopped the program or tolerates the error. */
function checkResults(
  results: readonly number[],
  operations: readonly Operation[],
  failure: Reply["failure"],
): void {
  const stopped = failure?.index ?? -1;
  if (failure !== undefined && stopped >= 0 && results[stopped] !== -failure.errno) throw notOfAStub();
  for (let index = 0; index < results.length; index++) {
    const result = results[index] ?? 0;
    if (result >= 0 || result < -MAX_ERRNO || index === stopped) continue;
    const tolerated = operations[index]?.tolerate ?? [];
    if (!tolerated.includes("any") && !tolerated.includes(errnoName(-result))) throw notOfAStub();
  }
}

function notOfAStub(): SyscallError {
  return new SyscallError("recvfrom", "EPROTO", ["the stub's reply"]);
}
