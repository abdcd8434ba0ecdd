import { oneLine } from "../bindings/abi/printable.ts";
import { SyscallError } from "../bindings/syscall-error.ts";

/** One violated rule of a config.json. */
export interface ConfigIssue {
  /** JSON pointer (RFC 6901) of the offending value, `""` for the whole document. */
  readonly pointer: string;
  /** 1-based line of the value in the file; absent if the value itself is missing. */
  readonly line?: number;
  /** The expectation, in lower case, without a full stop: "must be an absolute path". */
  readonly message: string;
}

export interface RuntsErrorDetails {
  /** The operation that failed: a system call or a verb (`openat2`, `create`). */
  readonly operation?: string | undefined;
  /** Symbolic errno (`ENOENT`). */
  readonly errno?: string | undefined;
  /** The path or argument that the operation acted on. */
  readonly path?: string | undefined;
  /** JSON pointer of the config property that asked for the operation. */
  readonly pointer?: string | undefined;
  /** Exit code of the command line; 1 by default. */
  readonly exitCode?: number;
  /** All violated rules of an invalid config. */
  readonly issues?: readonly ConfigIssue[];
  readonly cause?: unknown;
}

/**
 * The error class of the runtime. Its message is complete, and a single line whatever it quotes: the command line prints it after
 * `runts: ` and adds nothing.
 */
export class RuntsError extends Error {
  readonly operation: string | undefined;
  readonly errno: string | undefined;
  readonly path: string | undefined;
  readonly pointer: string | undefined;
  readonly exitCode: number;
  readonly issues: readonly ConfigIssue[];

  constructor(message: string, details: RuntsErrorDetails = {}) {
    super(oneLine(message), details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "RuntsError";
    this.operation = details.operation;
    this.errno = details.errno;
    this.path = details.path;
    this.pointer = details.pointer;
    this.exitCode = details.exitCode ?? 1;
    this.issues = details.issues ?? [];
  }
}

/** The same failure with another message and, if given, another pointer. The original error becomes its cause. */
export function reworded(error: RuntsError, message: string, pointer = error.pointer): RuntsError {
  const { operation, errno, path, exitCode, issues } = error;
  return new RuntsError(message, { operation, errno, path, pointer, exitCode, issues, cause: error });
}

/** Symbolic errno of a failed system call or file operation (`ENOENT`), "" for any other error. */
export function errorCode(error: unknown): string {
  if (error instanceof SyscallError) return error.errno;
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** Exit code of a command that ends with an error. `failureCode` is the command's own one, as in its definition. */
export function exitCodeOf(error: unknown, failureCode: number): number {
  return failureCode === 1 && error instanceof RuntsError ? error.exitCode : failureCode;
}
