import { RuntsError } from "../errors.ts";

/** The error of an action that has to fail. */
export function thrown(action: () => unknown): RuntsError {
  try {
    action();
  } catch (error) {
    if (error instanceof RuntsError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
