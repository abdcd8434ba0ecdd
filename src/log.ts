import { oneLine, printable, printableJson } from "../bindings/abi/printable.ts";
import { openSync, writeSync } from "../bindings/linux/files.ts";
import { RuntsError } from "./errors.ts";

/** The log for diagnostics. Field and level names are those of logrus, which engines parse. */
export interface Log {
  /** `pointer` is the JSON pointer of the property that asks for this step. */
  debug(message: string, pointer?: string): void;
  info(message: string): void;
  warn(message: string): void;
  /** Only for the failure that ends the program: podman expects exactly one error object in a JSON log. Only a sink gets the pointer. */
  error(message: string, pointer?: string): void;
}

/** Takes the entries of a log in place of a file. */
export interface LogSink {
  write(entry: Entry): void;
}

export type LogFormat = "text" | "json";

export interface LogOptions {
  /** Standard error by default. */
  readonly file?: string;
  /** Excludes `file`. The format is the sink's own. */
  readonly sink?: LogSink | undefined;
  readonly format: LogFormat;
  readonly debug: boolean;
  /** The lowest level that is logged; `info` by default. `debug` overrides it. */
  readonly level?: Level;
}

const LEVELS = ["debug", "info", "warning", "error"] as const;

type Level = (typeof LEVELS)[number];

export function isLogLevel(text: string): text is Level {
  return LEVELS.some((level) => level === text);
}

const STDERR = 2;

/**
 * Opens the log. Its file is opened at once, since a failure has to show before a container is created.
 *
 * Without a file, entries go to standard error, where an error is the plain line `runts: <message>` unless the format is JSON. With a
 * file or a sink, entries go there, and errors to standard error as well.
 */
export function openLog(options: LogOptions): Log {
  const file = options.file === undefined ? undefined : openForAppend(options.file);
  const { sink } = options;
  const least = options.debug ? 0 : LEVELS.indexOf(options.level ?? "info");
  const entry = (level: Level, message: string, pointer = ""): void => {
    if (LEVELS.indexOf(level) < least) return;
    const made = { level, message, pointer, time: new Date() };
    if (sink === undefined) writeDiagnostic(file ?? STDERR, formatEntry(options.format, made));
    else writeToSink(sink, made);
  };
  return {
    debug: (message, pointer) => entry("debug", message, pointer),
    info: (message) => entry("info", message),
    warn: (message) => entry("warning", message),
    error: (message, pointer) => {
      const elsewhere = file !== undefined || sink !== undefined;
      if (elsewhere || options.format === "json")
        entry("error", message, sink === undefined ? undefined : pointer);
      if (elsewhere || options.format === "text") writeDiagnostic(STDERR, `runts: ${oneLine(message)}\n`);
    },
  };
}

/** An entry of the log. */
export interface Entry {
  readonly level: Level;
  readonly message: string;
  /** Empty if there is none. */
  readonly pointer: string;
  readonly time: Date;
}

/** Formats a line in logrus's text or JSON form, safe for terminals. The time is in RFC 3339 form, without which dockerd drops it. */
export function formatEntry(format: LogFormat, { level, message, pointer, time }: Entry): string {
  const stamp = `${time.toISOString().slice(0, 19)}Z`;
  if (format === "json") {
    const entry = { level, msg: message, ...(pointer !== "" && { pointer }), time: stamp };
    return `${printableJson(JSON.stringify(entry))}\n`;
  }
  const asked = pointer === "" ? "" : ` pointer=${quoted(pointer)}`;
  return `time="${stamp}" level=${level} msg=${printableJson(JSON.stringify(message))}${asked}\n`;
}

/** A field as logrus writes it: unquoted if all characters are harmless. */
function quoted(value: string): string {
  return /^[\w\-./@^+]+$/.test(value) ? value : printableJson(JSON.stringify(value));
}

/** Writes text for users to standard error, such as a line that follows an error. */
export function writeStandardError(text: string): void {
  writeDiagnostic(STDERR, printable(text));
}

/** Never throws: a diagnostic that can't be written (closed standard error, full disk) must not hide the failure that it reports. */
function writeDiagnostic(fd: number, text: string): void {
  try {
    writeSync(fd, text);
  } catch {
    try {
      // The failure may be that koffi itself is missing.
      process.getBuiltinModule("node:fs").writeSync(fd, text);
    } catch {
      // Nowhere left to write to.
    }
  }
}

/** Never throws, either: the service may have ended meanwhile. */
function writeToSink(sink: LogSink, entry: Entry): void {
  try {
    sink.write(entry);
  } catch {
    // An error goes to standard error as well.
  }
}

function openForAppend(path: string): number {
  try {
    return openSync(path, "a", 0o644);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RuntsError(`open log: ${reason}`, { operation: "open", path, cause });
  }
}
