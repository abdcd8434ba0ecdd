import { RuntsError, reworded } from "../../errors.ts";
import { refusesSymlinks } from "../../plan/mounts/new-mount.ts";
import type { Config } from "../../spec/types.ts";

/**
 * Rewords the error of openat2(2) where proc or sysfs has no directory to be mounted on: the words are runc's, which people search for.
 * Returns any other error unchanged.
 */
export function withMountHint(error: unknown, { mounts = [] }: Config): unknown {
  if (!(error instanceof RuntsError) || error.operation !== "openat2") return error;
  const index = mounts.findIndex((_, at) => error.pointer === `/mounts/${at}`);
  const { type = "", destination = "" } = mounts[index] ?? {};
  const found = FOUND[error.errno ?? ""];
  if (!refusesSymlinks(type) || found === undefined) return error;
  const rule = `filesystem "${type}" must be mounted on ordinary directory`;
  return reworded(
    error,
    `/mounts/${index}: mount ${type} on ${destination}: ${rule}, but ${destination} ${found}`,
  );
}

/** Not "not a directory": engines act on these words (ENGINE_WORDS in src/init/explain-exec.ts). */
const FOUND: Readonly<Record<string, string>> = {
  ELOOP: "is a symbolic link, or is below one",
  ENOTDIR: "is no directory, or is below a file",
};
