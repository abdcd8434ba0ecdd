import { absolutePath } from "../../bindings/linux/paths.ts";
import type { GlobalOptions } from "../container/context.ts";
import { stateRoot } from "../container/record/state-root.ts";
import { isLogLevel, type Log, type LogSink, openLog } from "../log.ts";
import { ANNOTATIONS_TO_ALLOW, isAnnotationToAllow } from "../spec/annotations.ts";
import { parseGoBoolean } from "./options/arguments.ts";
import { type GlobalValues, globalOptions } from "./options/global-options.ts";
import { UsageError } from "./options/usage-error.ts";
import type { SystemLog } from "./system-log.ts";

/** Opens the log that the options name. A sink takes the place of a file. */
export function openLogFrom(globals: GlobalValues, sink?: LogSink): Log {
  const format = globals["log-format"] || globalOptions["log-format"].default;
  if (format !== "text" && format !== "json") throw new UsageError(`invalid log-format: ${format}`);
  const file = sink === undefined ? logFile(globals.log) : undefined;
  const level = globals["log-level"] || globalOptions["log-level"].default;
  if (!isLogLevel(level)) throw new UsageError(`invalid log-level: ${level}`);
  return openLog({ format, debug: globals.debug, level, sink, ...(file !== undefined && { file }) });
}

/** A path, or crun's `file:PATH`. */
function logFile(given: string | undefined): string | undefined {
  return given?.startsWith("file:") === true ? given.slice("file:".length) : given;
}

/** Matches a value of `--log` that names a service instead of a file. */
export const SYSTEM_LOG = /^(journald|syslog):/;

/** Opens the service that a value of `--log` names. Its module is loaded on demand. */
export async function systemLogAt(log: string): Promise<SystemLog> {
  const { openSystemLog } = await import("./system-log.ts");
  return openSystemLog(log);
}

export function contextFrom(globals: GlobalValues, log: Log, usesState: boolean): GlobalOptions {
  const manager = globals["cgroup-manager"] || globalOptions["cgroup-manager"].default;
  if (!["cgroupfs", "systemd", "disabled"].includes(manager)) {
    throw new UsageError(`invalid cgroup-manager: ${manager}`);
  }
  const noCgroup = manager === "disabled";
  const systemdCgroup = manager === "systemd" || (globals["systemd-cgroup"] && !noCgroup);
  const named = globals.root;
  const root = usesState ? stateRoot(named) : (named ?? "/run/runts");
  const criu = globals.criu;
  const allowedAnnotations = globals["allow-annotation"];
  for (const key of allowedAnnotations) checkAnnotationToAllow(key);
  return {
    root,
    ...(named !== undefined && { hasNamedRoot: true }),
    rootless: rootlessMode(globals),
    noCgroup,
    systemdCgroup,
    log,
    allowedAnnotations,
    // A name without a slash is looked up in PATH.
    ...(criu !== undefined && { criu: criu.includes("/") ? absolutePath(criu) : criu }),
  };
}

function checkAnnotationToAllow(key: string): void {
  if (!isAnnotationToAllow(key))
    throw new UsageError(`--allow-annotation ${key}: must be one of ${ANNOTATIONS_TO_ALLOW.join(", ")}`);
}

function rootlessMode(globals: GlobalValues): GlobalOptions["rootless"] {
  const given = globals.rootless || globalOptions.rootless.default;
  if (given.toLowerCase() === "auto") return "auto";
  const mode = parseGoBoolean(given);
  if (mode === undefined) throw new UsageError(`invalid value ${JSON.stringify(given)} for flag -rootless`);
  return mode;
}
