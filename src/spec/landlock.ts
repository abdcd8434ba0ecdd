import {
  LANDLOCK_ACCESS_FS_EXECUTE,
  LANDLOCK_ACCESS_FS_IOCTL_DEV,
  LANDLOCK_ACCESS_FS_MAKE_BLOCK,
  LANDLOCK_ACCESS_FS_MAKE_CHAR,
  LANDLOCK_ACCESS_FS_MAKE_DIR,
  LANDLOCK_ACCESS_FS_MAKE_FIFO,
  LANDLOCK_ACCESS_FS_MAKE_REG,
  LANDLOCK_ACCESS_FS_MAKE_SOCK,
  LANDLOCK_ACCESS_FS_MAKE_SYM,
  LANDLOCK_ACCESS_FS_READ_DIR,
  LANDLOCK_ACCESS_FS_READ_FILE,
  LANDLOCK_ACCESS_FS_REFER,
  LANDLOCK_ACCESS_FS_REMOVE_DIR,
  LANDLOCK_ACCESS_FS_REMOVE_FILE,
  LANDLOCK_ACCESS_FS_TRUNCATE,
  LANDLOCK_ACCESS_FS_WRITE_FILE,
  LANDLOCK_ACCESS_NET_BIND_TCP,
  LANDLOCK_ACCESS_NET_CONNECT_TCP,
  LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON,
  LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF,
  LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF,
  LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET,
  LANDLOCK_SCOPE_SIGNAL,
} from "../../bindings/abi/landlock.ts";
import { RuntsError } from "../errors.ts";
import type { Report } from "./issues.ts";
import { isObject, readJson } from "./json/reader.ts";
import { pointerToken } from "./json/scanner.ts";
import type { Config } from "./types.ts";

/**
 * The annotation `run.runts.landlock`: JSON of the object `landlock` that pull request 1241 of the runtime-spec proposes for `process`, with the
 * rights, scopes and flags that Landlock has gained since (docs/landlock.md). landlock(7)
 */

export const LANDLOCK_ANNOTATION = "run.runts.landlock";
export const LANDLOCK_POINTER = `/annotations/${LANDLOCK_ANNOTATION}`;

/** The highest ABI of Landlock whose rights this version knows: Linux 6.15. */
export const LANDLOCK_ABI = 7;

/** A right, scope or flag, with the first ABI that has it. */
interface Word {
  readonly bit: number;
  readonly abi: number;
}

type Words = Readonly<Record<string, Word>>;

export const FILE_RIGHTS = {
  execute: { bit: LANDLOCK_ACCESS_FS_EXECUTE, abi: 1 },
  write_file: { bit: LANDLOCK_ACCESS_FS_WRITE_FILE, abi: 1 },
  read_file: { bit: LANDLOCK_ACCESS_FS_READ_FILE, abi: 1 },
  read_dir: { bit: LANDLOCK_ACCESS_FS_READ_DIR, abi: 1 },
  remove_dir: { bit: LANDLOCK_ACCESS_FS_REMOVE_DIR, abi: 1 },
  remove_file: { bit: LANDLOCK_ACCESS_FS_REMOVE_FILE, abi: 1 },
  make_char: { bit: LANDLOCK_ACCESS_FS_MAKE_CHAR, abi: 1 },
  make_dir: { bit: LANDLOCK_ACCESS_FS_MAKE_DIR, abi: 1 },
  make_reg: { bit: LANDLOCK_ACCESS_FS_MAKE_REG, abi: 1 },
  make_sock: { bit: LANDLOCK_ACCESS_FS_MAKE_SOCK, abi: 1 },
  make_fifo: { bit: LANDLOCK_ACCESS_FS_MAKE_FIFO, abi: 1 },
  make_block: { bit: LANDLOCK_ACCESS_FS_MAKE_BLOCK, abi: 1 },
  make_sym: { bit: LANDLOCK_ACCESS_FS_MAKE_SYM, abi: 1 },
  refer: { bit: LANDLOCK_ACCESS_FS_REFER, abi: 2 },
  truncate: { bit: LANDLOCK_ACCESS_FS_TRUNCATE, abi: 3 },
  ioctl_dev: { bit: LANDLOCK_ACCESS_FS_IOCTL_DEV, abi: 5 },
} as const satisfies Words;

/** TCP alone; the names are those of the pull request. */
const NETWORK_RIGHTS = {
  bind: { bit: LANDLOCK_ACCESS_NET_BIND_TCP, abi: 4 },
  connect: { bit: LANDLOCK_ACCESS_NET_CONNECT_TCP, abi: 4 },
} as const satisfies Words;

const SCOPES = {
  abstract_unix_socket: { bit: LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, abi: 6 },
  signal: { bit: LANDLOCK_SCOPE_SIGNAL, abi: 6 },
} as const satisfies Words;

const RESTRICT_FLAGS = {
  log_same_exec_off: { bit: LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF, abi: 7 },
  log_new_exec_on: { bit: LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON, abi: 7 },
  log_subdomains_off: { bit: LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF, abi: 7 },
} as const satisfies Words;

/** Rights to a file that is no directory: ACCESS_FILE in security/landlock/fs.c of the kernel. Others for a file are EINVAL. */
export const RIGHTS_OF_FILES: readonly string[] = [
  "execute",
  "write_file",
  "read_file",
  "truncate",
  "ioctl_dev",
];

/** A list of words, and where it stands. */
export interface WordList {
  readonly pointer: string;
  readonly words: readonly string[];
  readonly known: Words;
}

/** The rights of `allowed`, and what they are for, each with its pointer. */
interface Rule<T> {
  readonly allowed: WordList;
  readonly objects: readonly { readonly pointer: string; readonly object: T }[];
}

export interface Landlock {
  readonly handledAccess: {
    readonly files: WordList;
    readonly network: WordList;
    readonly scopes: WordList;
  };
  /** Absolute paths in the container. */
  readonly paths: readonly Rule<string>[];
  readonly ports: readonly Rule<number>[];
  readonly flags: WordList;
  /** Whether the rules hold without the rights that the kernel lacks. */
  readonly bestEffort: boolean;
}

/** The rules of a valid config; undefined if it has none. */
export function landlockOf({ annotations }: Config): Landlock | undefined {
  const text = annotations?.[LANDLOCK_ANNOTATION];
  if (text === undefined) return undefined;
  return parseLandlock(text, (pointer, message) => {
    throw new RuntsError(`${pointer}: ${message}`, { operation: "validate", pointer });
  });
}

/** Reports all that is wrong with the annotation of a config. */
export function landlockRule({ annotations, process }: Config, report: Report): void {
  const text = annotations?.[LANDLOCK_ANNOTATION];
  if (text === undefined) return;
  parseLandlock(text, report);
  if (process !== undefined && process.noNewPrivileges !== true)
    report("/process/noNewPrivileges", `must be true with the annotation ${LANDLOCK_ANNOTATION}`);
}

function parseLandlock(text: string, report: Report): Landlock {
  const reader = new AnnotationReader(report);
  const root = reader.object(parseJson(text, report), LANDLOCK_POINTER, [
    "handledAccess",
    "rules",
    "restrictSelfFlags",
    "enableBestEffort",
  ]);
  const handledAccess = readHandledAccess(root, reader);
  const rulesAt = `${LANDLOCK_POINTER}/rules`;
  const rules = reader.object(root.rules ?? {}, rulesAt, ["pathBeneath", "networkPort"]);
  const paths = reader.rules(rules.pathBeneath ?? [], `${rulesAt}/pathBeneath`, {
    handled: handledAccess.files,
    objects: "paths",
    read: (value, pointer) => reader.path(value, pointer),
  });
  const ports = reader.rules(rules.networkPort ?? [], `${rulesAt}/networkPort`, {
    handled: handledAccess.network,
    objects: "ports",
    read: (value, pointer) => reader.port(value, pointer),
  });
  const flagsAt = `${LANDLOCK_POINTER}/restrictSelfFlags`;
  const flags = reader.words(root.restrictSelfFlags ?? [], flagsAt, RESTRICT_FLAGS);
  const { enableBestEffort = true } = root;
  if (typeof enableBestEffort !== "boolean")
    report(`${LANDLOCK_POINTER}/enableBestEffort`, "must be a boolean");
  return { handledAccess, paths, ports, flags, bestEffort: enableBestEffort !== false };
}

function readHandledAccess(
  { handledAccess = {} }: Readonly<Record<string, unknown>>,
  reader: AnnotationReader,
): Landlock["handledAccess"] {
  const at = `${LANDLOCK_POINTER}/handledAccess`;
  const handled = reader.object(handledAccess, at, ["handledAccessFS", "handledAccessNetwork", "scoped"]);
  const { handledAccessFS = [], handledAccessNetwork = [], scoped = [] } = handled;
  // The kernel refuses such a ruleset with ENOMSG.
  if ([handledAccessFS, handledAccessNetwork, scoped].every(isEmpty)) reader.nothingHandled(at);
  return {
    files: reader.words(handledAccessFS, `${at}/handledAccessFS`, FILE_RIGHTS),
    network: reader.words(handledAccessNetwork, `${at}/handledAccessNetwork`, NETWORK_RIGHTS),
    scopes: reader.words(scoped, `${at}/scoped`, SCOPES),
  };
}

function isEmpty(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.length === 0);
}

/** Returns undefined for text that is not JSON or that has a name twice, and reports it. */
function parseJson(text: string, report: Report): unknown {
  try {
    return readJson(text, LANDLOCK_ANNOTATION).value;
  } catch (error) {
    if (!(error instanceof RuntsError)) throw error;
    if (error.issues.length === 0) report(LANDLOCK_POINTER, error.message);
    for (const { pointer, message } of error.issues) report(`${LANDLOCK_POINTER}${pointer}`, message);
    return undefined;
  }
}

const LARGEST_PORT = 65_535;
/** Most paths, and most ports, of all rules: engines pass annotations on from users who must not hold the runtime up. */
const MOST_OBJECTS = 4096;

/** Reads values of the annotation. Reports those that are wrong, and goes on without them. */
class AnnotationReader {
  readonly #report: Report;
  /** Whether an object was reported that is none: then what it lacks is no news. */
  #isBroken = false;

  constructor(report: Report) {
    this.#report = report;
  }

  object(value: unknown, pointer: string, names: readonly string[]): Readonly<Record<string, unknown>> {
    if (!isObject(value)) {
      // Only text that is not JSON has no value at all.
      if (value !== undefined) this.#report(pointer, "must be an object");
      this.#isBroken = true;
      return {};
    }
    for (const name of Object.keys(value))
      if (!names.includes(name))
        this.#report(`${pointer}/${pointerToken(name)}`, `is unknown: it must be one of ${names.join(", ")}`);
    return value;
  }

  nothingHandled(pointer: string): void {
    if (!this.#isBroken) this.#report(pointer, "must name a right or a scope");
  }

  words(value: unknown, pointer: string, known: Words): WordList {
    const words = this.#list(value, pointer).flatMap((word, index): string[] => {
      if (typeof word === "string" && Object.hasOwn(known, word)) return [word];
      this.#report(`${pointer}/${index}`, `must be one of ${Object.keys(known).join(", ")}`);
      return [];
    });
    return { pointer, words, known };
  }

  rules<T>(
    value: unknown,
    pointer: string,
    kind: {
      readonly handled: WordList;
      readonly objects: "paths" | "ports";
      readonly read: (value: unknown, pointer: string) => T | undefined;
    },
  ): Rule<T>[] {
    const rules = this.#list(value, pointer).map((item, index) => {
      const at = `${pointer}/${index}`;
      const rule = this.object(item, at, ["allowedAccess", kind.objects]);
      const allowed = this.words(rule.allowedAccess ?? [], `${at}/allowedAccess`, kind.handled.known);
      this.#notEmpty(rule.allowedAccess, `${at}/allowedAccess`);
      this.#handled(allowed, kind.handled);
      const objectsAt = `${at}/${kind.objects}`;
      this.#notEmpty(rule[kind.objects], objectsAt);
      const objects = this.#list(rule[kind.objects] ?? [], objectsAt).flatMap((inner, number) => {
        const object = kind.read(inner, `${objectsAt}/${number}`);
        return object === undefined ? [] : [{ pointer: `${objectsAt}/${number}`, object }];
      });
      return { allowed, objects };
    });
    if (rules.reduce((sum, { objects }) => sum + objects.length, 0) > MOST_OBJECTS)
      this.#report(pointer, `must not have more than ${MOST_OBJECTS} ${kind.objects} in all`);
    return rules;
  }

  /** The kernel refuses a rule that allows what the ruleset does not handle with EINVAL, and one without rights with ENOMSG. */
  #handled({ pointer, words }: WordList, handled: WordList): void {
    words.forEach((word, index) => {
      if (handled.words.includes(word)) return;
      this.#report(`${pointer}/${index}`, `${word} is allowed but not handled: add it to ${handled.pointer}`);
    });
  }

  #notEmpty(value: unknown, pointer: string): void {
    if (isEmpty(value)) this.#report(pointer, "must not be empty");
  }

  path(value: unknown, pointer: string): string | undefined {
    if (typeof value === "string" && value.startsWith("/") && !value.includes("\0")) return value;
    this.#report(pointer, "must be an absolute path");
    return undefined;
  }

  /** The pull request has numbers in its example, and strings in its text and its Go type. */
  port(value: unknown, pointer: string): number | undefined {
    const port = typeof value === "string" && /^\d{1,5}$/.test(value) ? Number(value) : value;
    if (typeof port === "number" && Number.isInteger(port) && port >= 0 && port <= LARGEST_PORT) return port;
    this.#report(pointer, `must be a port from 0 to ${LARGEST_PORT}`);
    return undefined;
  }

  #list(value: unknown, pointer: string): readonly unknown[] {
    if (Array.isArray(value)) return value;
    this.#report(pointer, "must be an array");
    return [];
  }
}
