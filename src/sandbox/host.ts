import { readdirSync } from "../../bindings/linux/directories.ts";
import { lstatSync, statSync } from "../../bindings/linux/file-status.ts";
import { readlinkSync, realpathSync } from "../../bindings/linux/files.ts";
import {
  effectiveGid,
  effectiveUid,
  environment,
  workingDirectory,
} from "../../bindings/linux/own-process.ts";
import { errorCode } from "../errors.ts";
import { homeOf } from "../plan/process/passwd.ts";
import { readRegularFile } from "../spec/regular-file.ts";

/** Facts of the host and of the caller that a sandbox depends on. */
export interface Host {
  readonly uid: number;
  readonly gid: number;
  /** Absolute, without symbolic links. */
  readonly cwd: string;
  /** A variable of the caller; undefined if it is not set. */
  readonly variable: (name: string) => string | undefined;
  /** A variable that the runtime itself may use, such as HOME; undefined if it is not set or empty. */
  readonly own: (name: string) => string | undefined;
  /** The caller's home by passwd(5); "/" if it is not known. */
  readonly passwdHome: () => string;
  /** Kind of the file that a path leads to; undefined if it leads to none, or the caller can't see it. */
  readonly kindOf: (path: string) => "directory" | "file" | undefined;
  /** Target of a symbolic link; undefined for any other file. */
  readonly linkTarget: (path: string) => string | undefined;
  /** The path without symbolic links. Throws where it leads to no file. */
  readonly realPath: (path: string) => string;
  /** Names in a directory; empty if it can't be read. */
  readonly names: (path: string) => readonly string[];
}

export function inspectHost(): Host {
  return {
    uid: effectiveUid(),
    gid: effectiveGid(),
    cwd: workingDirectory(),
    variable: callersVariable,
    own: (name) => environment(name) || undefined,
    passwdHome: () => homeOf(orNone(() => readRegularFile("/etc/passwd"))?.toString() ?? "", effectiveUid()),
    kindOf,
    linkTarget: (path) => {
      const status = orNone(() => lstatSync(path));
      return status?.isSymbolicLink() === true ? readlinkSync(path) : undefined;
    },
    realPath: realpathSync,
    names: (path) => orNone(() => readdirSync(path)) ?? [],
  };
}

/**
 * A variable of the caller. The launcher keeps the caller's variables from the engine. Those that `--env NAME` names it passes on under
 * another name; where there is no launcher, this is the caller's own process (put_named in bindings/launcher/launcher.c).
 */
function callersVariable(name: string): string | undefined {
  const passed = environment(`RUNTS_ENV_${name}`);
  const hasLauncher = environment("RUNTS_FDS") !== undefined;
  return passed ?? (hasLauncher ? undefined : environment(name));
}

function kindOf(path: string): "directory" | "file" | undefined {
  const status = orNone(() => statSync(path));
  if (status === undefined) return undefined;
  return status.isDirectory() ? "directory" : "file";
}

/** The result, or undefined if the file is not there or not for the caller. */
function orNone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (["EACCES", "ELOOP", "ENOENT", "ENOTDIR"].includes(errorCode(error))) return undefined;
    throw error;
  }
}
