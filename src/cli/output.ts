import { oneLine, printable, printableJson, textOfLines } from "../../bindings/abi/printable.ts";
import { writeSync } from "../../bindings/linux/files.ts";
import type { ContainerState } from "../container/record/status.ts";
import { errorCode, RuntsError } from "../errors.ts";

const STDOUT = 1;
const RETRY_MS = 5;

/** Writes a command's result as text. Its reader may be a terminal, so control characters are escaped. */
export function writeOutput(text: string): void {
  writeAll(printable(text));
}

/** Writes a command's result as JSON. */
export function writeJson(json: string): void {
  writeAll(`${printableJson(json)}\n`);
}

/** Writes all of a text or throws: a caller must not take half of a result, or none, for success. */
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
      // The caller passed a non-blocking pipe, and it is full.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}

/** Returns rows as lines with aligned columns, each cell on one line. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(oneLine));
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column < row.length - 1 ? cell.padEnd(widths[column] ?? 0) : cell))
      .join("   ")
      .trimEnd();
  return textOfLines(cells.map(line));
}

/** The properties in runc's order, in whatever order they were read, then those that runc doesn't have. */
export function stateForJson(state: ContainerState): object {
  return {
    ociVersion: state.ociVersion,
    id: state.id,
    pid: state.pid,
    status: state.status,
    bundle: state.bundle,
    rootfs: state.rootfs,
    created: state.created,
    annotations: state.annotations,
    owner: state.owner,
    exitCode: state.exitCode,
  };
}
