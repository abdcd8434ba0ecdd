import { printable, printableJson } from "../../bindings/abi/printable.ts";
import { writeSync } from "../../bindings/linux/files.ts";
import { errorCode, RuntsError } from "../errors.ts";

const STDOUT = 1;
const RETRY_MS = 5;

/** A command's result as text, whose reader may sit at a terminal. */
export function writeOutput(text: string): void {
  writeAll(printable(text));
}

/** A command's result as JSON. */
export function writeJson(json: string): void {
  writeAll(`${printableJson(json)}\n`);
}

/** A caller must not take half of a result, or none, for success. */
function writeAll(text: string): void {
  let rest: Uint8Array = new TextEncoder().encode(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(STDOUT, rest));
    } catch (error) {
      if (errorCode(error) !== "EAGAIN") {
        throw new RuntsError(`write standard output: ${error instanceof Error ? error.message : error}`, {
          operation: "write",
          cause: error,
        });
      }
      // The caller handed over a non-blocking pipe, and it is full.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}
