import * as real from "../../bindings/stub/encode.ts";
import { data, type Operation, type Program, pathOf } from "../../bindings/stub/program.ts";
import { type Fault, killRuntimeAfterSending, next, PAUSE_MS } from "./injection.ts";

/** Replaces bindings/stub/encode.ts in the test build: every system call of a program can be made to fail. */

export type { EncodedProgram } from "../../bindings/stub/encode.ts";

/** The stub's own operations, which can't fail. */
const harmless: readonly string[] = ["store", "copy", "load", "set-channel"];

export function encodeProgram(
  ...[program, numbers]: Parameters<typeof real.encodeProgram>
): real.EncodedProgram {
  const operations = program.operations.flatMap((operation) => {
    if (harmless.includes(operation.call)) return [operation];
    const fault = next(() => ({
      side: "stub",
      call: operation.call,
      path: pathOf(operation),
      purpose: operation.purpose,
      pointer: operation.pointer,
      guarded: operation.guard !== undefined,
      tolerated: operation.tolerate,
    }));
    return fault === undefined ? [operation] : struck(fault, operation);
  });
  const changed: Program = Object.create(program, { operations: { value: operations } });
  return real.encodeProgram(changed, numbers);
}

function struck(fault: Fault, operation: Operation): Operation[] {
  if (fault.mode === "fail") return [{ ...operation, call: "copy", args: [-fault.errno] }];
  // A crash, not a signal: the first process of a pid namespace ignores signals from itself.
  if (fault.mode === "kill-stub") return [{ ...operation, call: "await", args: [0] }];
  const forever = fault.mode === "stall";
  const timeout = new Uint8Array(BigInt64Array.of(0n, BigInt(PAUSE_MS) * 1_000_000n).buffer);
  const pause: Operation = {
    ...operation,
    call: "ppoll",
    args: [0, 0, forever ? 0 : data(timeout), 0, 8],
    into: undefined,
    ...(!forever && { guard: undefined }),
  };
  if (forever) return [pause];
  // The runtime dies once the program is sent. Nobody reads the reply, so the additional operation does no harm.
  killRuntimeAfterSending();
  return [pause, operation];
}
