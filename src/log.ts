import { oneLine, printable, printableJson } from "../bindings/abi/printable.ts";
import { openSync, writeSync } from "../bindings/linux/files.ts";
import { RuntsError } from "./errors.ts";

/** Where diagnostics go. The fields and level names are logrus's, which engines parse. */
export interface Log {
  /** `pointer` is the property that asks for the step. */
  debug(message: string, pointer?: string): void;
  info(message: string): void;
  warn(message: string): void;
  /** For the failure that ends the program: podman wants exactly one error object in a JSON log. */
  error(message: string): void;
}

export type LogFormat = "text" | "json";

export interface LogOptions {
  /** Absent: standard error. */
  readonly file?: string;
  readonly format: LogFormat;
  readonly debug: boolean;
  /** The least that is logged without `debug`: info when absent. */
  readonly level?: Level;
}

const LEVELS = ["debug", "info", "warning", "error"] as const;

type Level = (typeof LEVELS)[number];

export function isLogLevel(text: string): text is Level {
  return LEVELS.some((level) => level === text);
}

const STDERR = 2;

/**
 * Opens the log, and its file at once: one that can't be written must fail before there is a container.
 *
 * Without a file, entries go to standard error; there an error is the plain line `runts: <message>`, unless JSON was
 * asked for. With a file, entries go to it and errors, in addition, to standard error.
 */
export function openLog(options: LogOptions): Log {
  const file = options.file === undefined ? undefined : openForAppend(options.file);
  const least = options.debug ? 0 : LEVELS.indexOf(options.level ?? "info");
  const entry = (level: Level, message: string, pointer = ""): void => {
    if (LEVELS.indexOf(level) < least) return;
    writeDiagnostic(
      file ?? STDERR,
      formatEntry(options.format, { level, message, pointer, time: new Date() }),
    );
  };
  return {
    debug: (message, pointer) => entry("debug", message, pointer),
    info: (message) => entry("info", message),
    warn: (message) => entry("warning", message),
    error: (message) => {
      if (file !== undefined || options.format === "json") entry("error", message);
      if (file !== undefined || options.format === "text")
        writeDiagnostic(STDERR, `runts: ${oneLine(message)}\n`);
    },
  };
}

/** One line of the log. */
export interface Entry {
  readonly level: Level;
  readonly message: string;
  /** Empty if no property asks for it. */
  readonly pointer: string;
  readonly time: Date;
}

/** One line: logrus's text or JSON form, to be read in a terminal. The time is RFC 3339, without which dockerd drops the entry. */
export function formatEntry(format: LogFormat, { level, message, pointer, time }: Entry): string {
  const stamp = `${time.toISOString().slice(0, 19)}Z`;
  if (format === "json") {
    const entry = { level, msg: message, ...(pointer !== "" && { pointer }), time: stamp };
    return `${printableJson(JSON.stringify(entry))}\n`;
  }
  const asked = pointer === "" ? "" : ` pointer=${quoted(pointer)}`;
  return `time="${stamp}" level=${level} msg=${printableJson(JSON.stringify(message))}${asked}\n`;
}

/** A field as logrus writes it: without quotes if all of its characters are harmless. */
function quoted(value: string): string {
  return /^[\w\-./@^+]+$/.test(value) ? value : printableJson(JSON.stringify(value));
}

/** Text for a person on standard error; for the line that follows an error, and the like. */
export function writeStandardError(text: string): void {
  writeDiagnostic(STDERR, printable(text));
}

/** A diagnostic that can't be written (closed or full standard error, full disk) must not hide what it is about. */
function writeDiagnostic(fd: number, text: string): void {
  try {
    writeSync(fd, text);
  } catch {
    try {
      // koffi itself may be what is missing.
      process.getBuiltinModule("node:fs").writeSync(fd, text);
    } catch {
      // Nowhere left to tell.
    }
  }
}

function openForAppend(path: string): number {
  try {
    return openSync(path, "a", 0o644);
  } catch (error) {
    throw openFailure(path, error);
  }
}

function openFailure(path: string, cause: unknown): RuntsError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new RuntsError(`open log: ${reason}`, { operation: "open", path, cause });
}
