import { mkdirSync } from "../../bindings/linux/directories.ts";
import { chmodSync, readFileSync } from "../../bindings/linux/files.ts";
import { absolutePath } from "../../bindings/linux/paths.ts";
import type { Context } from "../container/options.ts";
import { checkStateRoot } from "../container/state-root.ts";
import { RuntsError } from "../errors.ts";
import { isLogLevel, type Log, openLog } from "../log.ts";
import { type ParsedArguments, parseGoBoolean } from "./parse.ts";
import { UsageError } from "./usage-error.ts";

export function openLogFrom(globals: ParsedArguments): Log {
  const format = globals.string("log-format") ?? "text";
  if (format !== "text" && format !== "json") throw new UsageError(`invalid log-format: ${format}`);
  const file = logFile(globals.string("log"));
  const level = globals.string("log-level") ?? "info";
  if (!isLogLevel(level)) throw new UsageError(`invalid log-level: ${level}`);
  return openLog({ format, debug: globals.flag("debug"), level, ...(file !== undefined && { file }) });
}

/** A path, or crun's `file:PATH`. Its other sinks are refused, instead of making files of such names. */
function logFile(given: string | undefined): string | undefined {
  if (given === undefined || !/^(file|journald|syslog):/.test(given)) return given;
  if (given.startsWith("file:")) return given.slice("file:".length);
  throw new UsageError(`--log ${given}: only files are supported`);
}

export function contextFrom(globals: ParsedArguments, log: Log): Context {
  const manager = globals.string("cgroup-manager") ?? "cgroupfs";
  if (!["cgroupfs", "systemd", "disabled"].includes(manager)) {
    throw new UsageError(`invalid cgroup-manager: ${manager}`);
  }
  const noCgroup = manager === "disabled";
  const systemdCgroup = manager === "systemd" || (globals.flag("systemd-cgroup") && !noCgroup);
  const root = rootDirectory(globals);
  checkStateRoot(root);
  return { root, rootless: rootlessMode(globals), noCgroup, systemdCgroup, log };
}

/** Creates the root directory, and the directory of the pid file: engines may name ones that do not exist yet. */
export function prepareDirectories(context: Context, pidFile: string | undefined): void {
  makeDirectory(context.root, 0o700);
  if (context.root === xdgRoot()) keepFromSweeping(context.root);
  if (pidFile !== undefined) makeDirectory(pidFile.slice(0, pidFile.lastIndexOf("/") + 1), 0o755);
}

/** Without the sticky bit, files that are not used for hours may be swept (XDG Base Directory Specification). */
function keepFromSweeping(root: string): void {
  try {
    chmodSync(root, 0o1700);
  } catch (cause) {
    throw new RuntsError(`${root} belongs to another user: is XDG_RUNTIME_DIR that of the caller?`, {
      operation: "chmod",
      errno: "EPERM",
      path: root,
      cause,
    });
  }
}

function makeDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path, { recursive: true, mode });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const hint = path === xdgRoot() ? "; is XDG_RUNTIME_DIR that of the caller?" : "";
    throw new RuntsError(`create directory: ${reason}${hint}`, { operation: "mkdir", path, cause });
  }
}

function rootDirectory(globals: ParsedArguments): string {
  const given = globals.string("root");
  if (given === undefined) return defaultRoot();
  const root = absolutePath(given);
  if (root === "/") throw new RuntsError("--root must not be the root directory");
  return root;
}

function defaultRoot(): string {
  if (honoursXdg()) return xdgRoot() ?? "/run/runts";
  if (process.geteuid?.() === 0) return "/run/runts";
  throw new RuntsError(
    "XDG_RUNTIME_DIR is not set: without it, a user who is not root names the directory of his containers by --root " +
      "(a login through systemd or elogind sets it; su and sudo don't)",
    { operation: "mkdir", errno: "ENOENT", path: "/run/runts" },
  );
}

function xdgRoot(): string | undefined {
  const directory = process.env.XDG_RUNTIME_DIR;
  return directory ? absolutePath(`${directory}/runts`) : undefined;
}

/**
 * Root of the host has /run/runts. Others have no access there; among them is the root of a user namespace, as which
 * rootless podman calls (with XDG_RUNTIME_DIR as the only variable); `USER=root` says that it is the root of a
 * container, as in nested use.
 */
function honoursXdg(): boolean {
  if (!process.env.XDG_RUNTIME_DIR) return false;
  if (process.geteuid?.() !== 0) return true;
  return (
    process.env.USER !== "root" &&
    !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "utf8"))
  );
}

function rootlessMode(globals: ParsedArguments): Context["rootless"] {
  const given = globals.string("rootless") ?? "auto";
  if (given.toLowerCase() === "auto") return "auto";
  const mode = parseGoBoolean(given);
  if (mode === undefined) throw new UsageError(`invalid value ${JSON.stringify(given)} for flag -rootless`);
  return mode;
}
