/** Something that is wrong with a config, or surely not what was meant. */
export interface Finding {
  /** An error keeps a container from being created or started; a warning doesn't. */
  readonly severity: "error" | "warning";
  /** Short name of the rule, for programs. */
  readonly rule: string;
  /** JSON pointer, empty for the whole file. */
  readonly pointer: string;
  /** 1-based; absent where the value is missing altogether. */
  readonly line?: number;
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
}

/** What a rule reports; a line that it doesn't know is found later. */
export type Tell = (finding: Finding) => void;

export interface Validation {
  /** The file as it was named. */
  readonly file: string;
  readonly errors: number;
  readonly warnings: number;
  readonly findings: readonly Finding[];
  /** What could not be judged: nothing against the config. */
  readonly notes: readonly string[];
}

export function warning(
  rule: string,
  pointer: string,
  message: string,
  hint?: string,
): Omit<Finding, "line"> {
  return { severity: "warning", rule, pointer, message, ...(hint !== undefined && { hint }) };
}

export function failure(
  rule: string,
  pointer: string,
  message: string,
  hint?: string,
): Omit<Finding, "line"> {
  return { severity: "error", rule, pointer, message, ...(hint !== undefined && { hint }) };
}
