/** The purpose of each of the runtime's own system calls, for `explain`, `--profile`, `--debug` and the fault build. */

export interface Purpose {
  /** JSON pointer of the config property that asks for it; empty for calls that every container needs. */
  readonly pointer: string;
  /** An imperative, as in `set memory.max`; empty where none is given. */
  readonly purpose: string;
  /** The purpose that this one is a part of; undefined for the outermost. */
  readonly outer: Purpose | undefined;
}

const NONE: Purpose = { pointer: "", purpose: "", outer: undefined };
let current = NONE;

/** The purpose of the system calls that are made now. */
export function currentPurpose(): Purpose {
  return current;
}

/**
 * Names the purpose of all system calls of an action, which must be synchronous. An action inside it may name its own, and keeps the
 * outer pointer if it has none.
 */
export function withPurpose<T>(pointer: string, purpose: string, action: () => T): T {
  const outer = current;
  current = { pointer: pointer === "" ? outer.pointer : pointer, purpose, outer };
  try {
    return action();
  } finally {
    current = outer;
  }
}

/** The purpose of undoing a failed operation, which `explain` leaves out. */
export const UNDO = "undo what was made";

/** Whether the system calls that are made now are part of an action with this purpose. */
export function isPartOf(purpose: string): boolean {
  for (let at: Purpose | undefined = current; at !== undefined; at = at.outer)
    if (at.purpose === purpose) return true;
  return false;
}
