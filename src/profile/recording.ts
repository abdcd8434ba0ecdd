/** One system call of the runtime, a stub, init or a hook. */
export interface TimedCall {
  /** Name of the process that made the call. */
  readonly by: string;
  readonly call: string;
  /** Microseconds since the recording began. */
  readonly begin: number;
  readonly end: number;
  /** JSON pointer of the config property; empty if no property asks for the call. */
  readonly pointer: string;
  /** Empty where none is given: for read-only calls of the runtime. */
  readonly purpose: string;
  readonly path: string;
  /** Symbolic errno (`ENOENT`); empty for a call that succeeded. */
  readonly errno: string;
  /** Whether the failure ended the program of a stub. */
  readonly isFatal: boolean;
}

/** How a command ended. */
export interface Outcome {
  readonly exitCode: number;
  /** The error of a command that failed, with the message that standard error gets. */
  readonly error?: {
    /** Name of the error's class. */
    readonly name: string;
    readonly message: string;
    /** As in RuntsError; empty where it has none. */
    readonly operation: string;
    readonly errno: string;
    readonly pointer: string;
  };
}

/** All that a profile format shows of one command. */
export interface Recording {
  /** Name of the command: `create`. */
  readonly command: string;
  readonly container: string;
  /** Absolute path of the container's config, where the command knows it. */
  readonly config?: string;
  /** Time of day when it began: nanoseconds since 1970. */
  readonly start: bigint;
  /** Microseconds from there to the end. */
  readonly end: number;
  /** In the order of their begin. */
  readonly calls: readonly TimedCall[];
  readonly outcome: Outcome;
}
