import { RuntsError, reworded } from "../errors.ts";
import { isStrict } from "../plan/new-mount.ts";
import type { Config } from "../spec/types.ts";

/**
 * What openat2(2) has found in the place of the directory that proc or sysfs goes onto, in the words of runc, which people look for. Any
 * other error is returned as it is.
 */
export function explainTarget(error: unknown, { mounts = [] }: Config): unknown {
  if (!(error instanceof RuntsError) || error.operation !== "openat2") return error;
  const index = mounts.findIndex((_, at) => error.pointer === `/mounts/${at}`);
  const { type = "", destination = "" } = mounts[index] ?? {};
  const found = FOUND[error.errno ?? ""];
  if (!isStrict(type) || found === undefined) return error;
  const rule = `filesystem "${type}" must be mounted on ordinary directory`;
  return reworded(
    error,
    `/mounts/${index}: mount ${type} on ${destination}: ${rule}, and ${destination} ${found}`,
  );
}

const FOUND: Readonly<Record<string, string>> = {
  ELOOP: "is a symbolic link, or below one",
  ENOTDIR: "is none, or below what is none",
};
