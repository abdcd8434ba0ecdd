import { RuntsError } from "../errors.ts";

/** The error that an action throws. It must throw a RuntsError. */
export function thrown(action: () => unknown): RuntsError {
  try {
    action();
  } catch (error) {
    if (error instanceof RuntsError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
