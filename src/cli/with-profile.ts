import { FileError } from "../../bindings/linux/file-call.ts";
import { writeFileSync } from "../../bindings/linux/files.ts";
import { absolutePath } from "../../bindings/linux/paths.ts";
import { terminalSettings } from "../../bindings/linux/terminal.ts";
import { errorCode, exitCodeOf, RuntsError } from "../errors.ts";
import { writeStandardError } from "../log.ts";
import type { Outcome, Recording } from "../profile/recording.ts";
import type { OptionValues } from "./options/option.ts";
import type { profileOptions } from "./options/shared-options.ts";
import { UsageError } from "./options/usage-error.ts";
import type { ProfileFormat } from "./profile-formats.ts";

interface Profiled {
  readonly command: string;
  readonly container: string;
  /** Returns the absolute path of the container's config. */
  readonly config?: () => string;
  /** Exit code of a failure of the runtime itself; 1 when absent. */
  readonly failureCode?: number;
}

/**
 * Runs a command and writes its profile to a file, also when it fails; on a terminal, also prints a summary. Without a file, only runs
 * the command, and loads nothing else.
 */
export async function withProfile(
  { command, container, config, failureCode = 1 }: Profiled,
  { profile: file, "profile-format": formatName }: OptionValues<typeof profileOptions>,
  action: () => number | Promise<number>,
): Promise<number> {
  if (file === undefined) {
    if (formatName !== undefined) throw new UsageError("--profile-format needs --profile", command);
    return action();
  }
  const format = await formatNamed(formatName, command);
  const path = absolutePath(file);
  // Fails before there is a container if the file can't be written.
  toFile(path, () => writeFileSync(path, ""));
  const { Profile } = await import("../profile/profile.ts");
  const profile = new Profile(command, container);
  let outcome: Outcome = { exitCode: failureCode };
  try {
    const exitCode = await action();
    outcome = { exitCode };
    return exitCode;
  } catch (error) {
    outcome = failed(error, failureCode);
    throw error;
  } finally {
    const recording = profile.finish(outcome);
    await save({ ...recording, ...(config !== undefined && { config: config() }) }, path, format);
  }
}

async function formatNamed(name: string | undefined, command: string): Promise<ProfileFormat> {
  const { profileFormats } = await import("./profile-formats.ts");
  const [standard] = profileFormats;
  if (name === undefined) return standard;
  const format = profileFormats.find((candidate) => candidate.name === name);
  if (format !== undefined) return format;
  const known = profileFormats.map((candidate) => candidate.name).join(", ");
  throw new UsageError(`--profile-format ${name}: is none of ${known}`, command);
}

function failed(error: unknown, failureCode: number): Outcome {
  const message = error instanceof Error ? error.message : String(error);
  const name = error instanceof Error ? error.name : "Error";
  const { operation = "", errno = "", pointer = "" } = error instanceof RuntsError ? error : {};
  return {
    exitCode: exitCodeOf(error, failureCode),
    error: { name, message, operation, errno: errno || errorCode(error), pointer },
  };
}

async function save(recording: Recording, path: string, { viewer, render }: ProfileFormat): Promise<void> {
  const { summaryOf } = await import("../profile/trace.ts");
  const text = await render(recording);
  toFile(path, () => writeFileSync(path, text));
  if (terminalSettings(2) !== undefined) writeStandardError(summaryOf(recording, path, viewer));
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
