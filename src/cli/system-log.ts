import {
  F_ADD_SEALS,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  F_SETFL,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  O_NONBLOCK,
} from "../../bindings/abi/fcntl.ts";
import { oneLine } from "../../bindings/abi/printable.ts";
import { cString, syscall } from "../../bindings/ffi/syscall.ts";
import { closeSync, writeSync } from "../../bindings/linux/files.ts";
import { connectDatagram } from "../../bindings/linux/unix-datagram.ts";
import { sendWithDescriptors } from "../../bindings/stub/client.ts";
import { errorCode, RuntsError } from "../errors.ts";
import type { Entry, LogSink } from "../log.ts";

/** Logs of the system in place of a file: crun's `--log journald:ID` and `--log syslog:ID`. */

const JOURNAL = "/run/systemd/journal/socket";
const SYSLOG = "/dev/log";
/** The identifier of `journald:` and `syslog:` without one. */
const IDENTIFIER = "runts";

/** Severities of syslog(3). */
const SEVERITY = { debug: 7, info: 6, warning: 4, error: 3 } as const;
/** LOG_USER of syslog(3), shifted: the facility of crun. */
const FACILITY = 1 << 3;

/** The log of a system service. */
export interface SystemLog extends LogSink {
  /** Names the container that the next entries are about. */
  setContainer(id: string | undefined): void;
}

/**
 * Connects to the service, since a failure has to show before a container is created. crun loses its messages where there is no such
 * service.
 */
export function openSystemLog(given: string): SystemLog {
  const colon = given.indexOf(":");
  const identifier = given.slice(colon + 1) || IDENTIFIER;
  const isJournal = given.startsWith("journald:");
  const path = isJournal ? JOURNAL : SYSLOG;
  const socket = connect(given, path);
  let container: string | undefined;
  return {
    write: (entry) => {
      if (isJournal) sendToJournal(socket, journalEntry(entry, identifier, container));
      else sendToSyslog(socket, syslogLine(entry, identifier));
    },
    setContainer: (id) => {
      container = id;
    },
  };
}

/** An entry that the service has no room for at once is lost (EAGAIN): logging must not hold up a command, which may have a container's lock. */
function connect(given: string, path: string): number {
  try {
    const socket = connectDatagram(path);
    syscall("fcntl", [socket, F_SETFL, O_NONBLOCK], ["F_SETFL"]);
    return socket;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RuntsError(`open log: --log ${given}: no service listens at ${path}: ${reason}`, {
      operation: "connect",
      errno: errorCode(cause),
      path,
      cause,
    });
  }
}

/**
 * An entry in the journal's native protocol: lines `FIELD=value`, for values without line breaks.
 * https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
 */
export function journalEntry(
  { level, message, pointer }: Omit<Entry, "time">,
  identifier: string,
  container: string | undefined,
): Uint8Array {
  const fields = {
    MESSAGE: message,
    PRIORITY: String(SEVERITY[level]),
    SYSLOG_IDENTIFIER: identifier,
    ...(container !== undefined && { CONTAINER_ID: container }),
    ...(pointer !== "" && { RUNTS_POINTER: pointer }),
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}=${oneLine(value)}\n`);
  return new TextEncoder().encode(lines.join(""));
}

/** An entry that is too long for a datagram goes by a sealed memory file: "File Descriptor Passing" of the protocol. */
function sendToJournal(socket: number, entry: Uint8Array): void {
  try {
    writeSync(socket, entry);
  } catch (error) {
    if (!["EMSGSIZE", "ENOBUFS"].includes(errorCode(error))) throw error;
    sendByMemoryFile(socket, entry);
  }
}

function sendByMemoryFile(socket: number, entry: Uint8Array): void {
  const file = syscall("memfd_create", [cString("journal-entry"), MFD_CLOEXEC | MFD_ALLOW_SEALING]);
  try {
    for (let written = 0; written < entry.length; ) written += writeSync(file, entry, written);
    const seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    syscall("fcntl", [file, F_ADD_SEALS, seals]);
    sendWithDescriptors(socket, new Uint8Array(0), [file]);
  } finally {
    closeSync(file);
  }
}

/**
 * A line as syslog(3) writes it, RFC 3164, but for the time: that would be the local one, which a warm start knows of another process. The
 * service adds it, as section 4.3.2 asks of it.
 */
export function syslogLine({ level, message }: Pick<Entry, "level" | "message">, identifier: string): string {
  return `<${FACILITY + SEVERITY[level]}>${oneLine(identifier)}: ${oneLine(message)}`;
}

/** Characters of a message that every service takes: a longer one is sent in part if the socket does not take it. */
const SHORT_MESSAGE = 2048;

function sendToSyslog(socket: number, line: string): void {
  try {
    writeSync(socket, line);
  } catch (error) {
    if (errorCode(error) !== "EMSGSIZE") throw error;
    writeSync(socket, line.slice(0, SHORT_MESSAGE));
  }
}
