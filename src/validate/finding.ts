/** An error in a config, or a legal value that is hardly what was meant. */
export interface Finding {
  /** An error keeps the container from being created or started. */
  readonly severity: "error" | "warning";
  /** Short name of the rule, for programs. */
  readonly rule: string;
  /** JSON pointer, empty for the whole file. */
  readonly pointer: string;
  /** 1-based line in the file; absent where the value is missing altogether. */
  readonly line?: number;
  readonly message: string;
  /** How to mend it. */
  readonly hint?: string;
}

/** Takes a rule's findings. A line that the rule doesn't know is added later. */
export type Tell = (finding: Finding) => void;

export interface Validation {
  /** Path of the config file, as the caller named it. */
  readonly file: string;
  readonly errors: number;
  readonly warnings: number;
  readonly findings: readonly Finding[];
  /** Notes on what could not be judged. */
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
