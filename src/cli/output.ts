import { oneLine, printable, printableJson, textOfLines } from "../../bindings/abi/printable.ts";
import { FileError } from "../../bindings/linux/file-call.ts";
import { lstatSync } from "../../bindings/linux/file-status.ts";
import { renameSync, unlinkSync, writeFileSync, writeSync } from "../../bindings/linux/files.ts";
import { ownPid } from "../../bindings/linux/own-process.ts";
import { absolutePath } from "../../bindings/linux/paths.ts";
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

/**
 * Writes an HTML page, whose text is escaped already, to a file or to standard output. The file appears whole or not at all. Only its owner
 * may read it, since it may hold secrets.
 */
export function writePage(file: string | undefined, html: string): void {
  if (file === undefined) {
    writeAll(html);
    return;
  }
  const path = absolutePath(file);
  const temporary = `${path}.runts-${ownPid()}`;
  try {
    // A rename would replace a device, a fifo or a link, such as /dev/stdout.
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === false)
      throw new RuntsError(`--output ${path}: is not a regular file`, { operation: "open", path });
    writeFileSync(temporary, html, { mode: 0o600, flag: "wx" });
    renameSync(temporary, path);
  } catch (cause) {
    tryUnlink(temporary);
    if (!(cause instanceof FileError)) throw cause;
    const { code: errno, message } = cause;
    throw new RuntsError(`--output ${path}: ${message}`, { operation: "write", errno, path, cause });
  }
}

function tryUnlink(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It was not made, or the first error says why.
  }
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
