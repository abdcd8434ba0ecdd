import * as real from "../../src/freeze/await-thaw.ts";
import { armFrom } from "./injection.ts";

/** Replaces src/freeze/await-thaw.ts in the test build: after a warm start the fault comes from the arguments of the new process. */

export const ANSWER_SPACE = real.ANSWER_SPACE;
export const READY = real.READY;
export const isWarm = real.isWarm;

export function awaitThaw(): readonly string[] {
  const argv = [...real.awaitThaw()];
  armFrom(argv);
  return argv;
}
