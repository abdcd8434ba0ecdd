import { FileError } from "../../../../bindings/linux/file-call.ts";
import { statSync } from "../../../../bindings/linux/file-status.ts";
import { realpathSync } from "../../../../bindings/linux/files.ts";
import { checkReplaceable, replaceFile } from "../../../../bindings/linux/replace-file.ts";
import { RuntsError } from "../../../errors.ts";
import { loadLibseccomp } from "../../../seccomp/compile.ts";
import type { CallRecord } from "../../../seccomp/record/call-record.ts";
import { nameCalls } from "../../../seccomp/record/recorded-calls.ts";
import { mergeProfile, recordedProfile } from "../../../seccomp/record/recorded-profile.ts";
import { parseSeccomp } from "../../../spec/config.ts";
import { toIndentedJson } from "../../../spec/json/writer.ts";
import { readRegularFile } from "../../../spec/regular-file.ts";
import type { Seccomp } from "../../../spec/types.ts";

/** Where a recorded profile goes. */
export interface ProfileFile {
  /** Absolute path. */
  readonly file: string;
  /** Whether the calls are added to a profile that is there already. */
  readonly merge: boolean;
}

/** Checks that the profile can be written in the end, and that the one to merge with can be read. Throws RuntsError. */
export function checkProfileFile({ file, merge }: ProfileFile): void {
  const path = inFile(file, () => targetOf(file));
  inFile(file, () => checkReplaceable(path));
  const known = merge ? readProfileFile(path) : undefined;
  if (known !== undefined) mergeProfile(known, NOTHING, true, () => undefined);
}

const NOTHING = { architectures: [], names: new Set<string>(), values: new Map<string, Set<bigint>>() };

/** Writes the profile of recorded calls, at once as a whole. `warn` gets what a profile can't say. Throws RuntsError. */
export function writeProfileFile(
  { file, merge }: ProfileFile,
  record: CallRecord,
  noNewPrivileges: boolean,
  warn: (message: string) => void,
): void {
  const say = (message: string) => warn(`--seccomp-record: ${message}`);
  const path = inFile(file, () => targetOf(file));
  const calls = nameCalls(record, loadLibseccomp(), say);
  // Read only now: another recording may have added to it meanwhile.
  const known = merge ? readProfileFile(path) : undefined;
  const profile =
    known === undefined
      ? recordedProfile(calls, noNewPrivileges)
      : mergeProfile(known, calls, noNewPrivileges, say);
  inFile(file, () => replaceFile(path, `${toIndentedJson(profile)}\n`));
}

/** The file that a path leads to, so that a symbolic link stays one. Only a regular file can be replaced by another one. */
function targetOf(file: string): string {
  const status = statSync(file, { throwIfNoEntry: false });
  if (status === undefined) return file;
  if (status.isFile()) return realpathSync(file);
  throw new RuntsError(`--seccomp-record ${file}: is not a regular file`, { operation: "open", path: file });
}

function readProfileFile(path: string): Seccomp | undefined {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  return parseSeccomp(readRegularFile(path), path);
}

function inFile<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
    const message = `--seccomp-record ${path}: ${cause.message}`;
    throw new RuntsError(message, { operation: cause.syscall, errno: cause.code, path, cause });
  }
}
