import { O_NONBLOCK, O_RDONLY } from "../../bindings/abi/fcntl.ts";
import { fstatSync } from "../../bindings/linux/file-status.ts";
import { closeSync, openSync, readFileSync } from "../../bindings/linux/files.ts";
import { RuntsError } from "../errors.ts";
import { MAXIMUM_BYTES, tooLarge } from "./json/reader.ts";

/**
 * Reads a file of at most 16 MiB. Throws for anything but a regular file: a fifo would make the reader wait, and a device may have no end.
 */
export function readRegularFile(path: string): Buffer {
  let fd: number | undefined;
  try {
    // O_NONBLOCK: opening a fifo must not wait for its writer.
    fd = openSync(path, O_RDONLY | O_NONBLOCK);
    const status = fstatSync(fd);
    if (!status.isFile())
      throw new RuntsError(`open ${path}: not a regular file`, { operation: "open", path });
    if (status.size > MAXIMUM_BYTES) throw tooLarge(path);
    return readFileSync(fd);
  } catch (error) {
    throw fileError(error, path);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Rewords errors of Node and Bun, "ENOENT: no such file or directory, open '/path'", as Go does: "open /path: no such …". */
function fileError(error: unknown, path: string): unknown {
  if (error instanceof RuntsError || !(error instanceof Error)) return error;
  const [, errno, meaning, operation] = /^([A-Z0-9]+): ([^,]+), (\w+)/.exec(error.message) ?? [];
  if (errno === undefined || meaning === undefined || operation === undefined) return error;
  return new RuntsError(`${operation} ${path}: ${meaning}`, { operation, errno, path, cause: error });
}
