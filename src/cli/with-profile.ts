import { FileError } from "../../bindings/linux/file-call.ts";
import { writeFileSync } from "../../bindings/linux/files.ts";
import { absolutePath } from "../../bindings/linux/paths.ts";
import { terminalSettings } from "../../bindings/linux/terminal.ts";
import { RuntsError } from "../errors.ts";
import { writeStandardError } from "../log.ts";
import { Profile } from "../profile/profile.ts";

/**
 * Runs a command and writes its profile to a file, also when it fails; on a terminal, also prints a summary. Without a file, only runs
 * the command.
 */
export async function withProfile(
  command: string,
  file: string | undefined,
  action: () => number | Promise<number>,
): Promise<number> {
  if (file === undefined) return action();
  const path = absolutePath(file);
  // Fails before there is a container if the file can't be written.
  toFile(path, () => writeFileSync(path, ""));
  const profile = new Profile(path, command);
  try {
    return await action();
  } finally {
    const summary = toFile(path, () => profile.finish());
    if (terminalSettings(2) !== undefined) writeStandardError(summary);
  }
}

function toFile<T>(path: string, write: () => T): T {
  try {
    return write();
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
    throw new RuntsError(`--profile ${path}: ${cause.message}`, {
      operation: "write",
      errno: cause.code,
      path,
      cause,
    });
  }
}
