import { absolutePath } from "../../bindings/linux/paths.ts";
import type { GlobalOptions } from "../container/context.ts";
import { stateRoot } from "../container/record/state-root.ts";
import { isLogLevel, type Log, openLog } from "../log.ts";
import { type ParsedArguments, parseGoBoolean } from "./options/arguments.ts";
import { UsageError } from "./options/usage-error.ts";

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

export function contextFrom(globals: ParsedArguments, log: Log, usesState: boolean): GlobalOptions {
  const manager = globals.string("cgroup-manager") ?? "cgroupfs";
  if (!["cgroupfs", "systemd", "disabled"].includes(manager)) {
    throw new UsageError(`invalid cgroup-manager: ${manager}`);
  }
  const noCgroup = manager === "disabled";
  const systemdCgroup = manager === "systemd" || (globals.flag("systemd-cgroup") && !noCgroup);
  const named = globals.string("root");
  const root = usesState ? stateRoot(named) : (named ?? "/run/runts");
  const criu = globals.string("criu");
  return {
    root,
    ...(named !== undefined && { hasNamedRoot: true }),
    rootless: rootlessMode(globals),
    noCgroup,
    systemdCgroup,
    log,
    // A name alone is looked for in PATH.
    ...(criu !== undefined && { criu: criu.includes("/") ? absolutePath(criu) : criu }),
  };
}

function rootlessMode(globals: ParsedArguments): GlobalOptions["rootless"] {
  const given = globals.string("rootless") ?? "auto";
  if (given.toLowerCase() === "auto") return "auto";
  const mode = parseGoBoolean(given);
  if (mode === undefined) throw new UsageError(`invalid value ${JSON.stringify(given)} for flag -rootless`);
  return mode;
}
