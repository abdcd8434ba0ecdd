import * as real from "../../src/freeze/await-thaw.ts";
import { armFrom } from "./injection.ts";

/** Stands in the test build for src/freeze/await-thaw.ts: what goes wrong is said by the arguments of each process of its own. */

export const ANSWER_SPACE = real.ANSWER_SPACE;
export const READY = real.READY;
export const isWarm = real.isWarm;

export function awaitThaw(): readonly string[] {
  const argv = [...real.awaitThaw()];
  armFrom(argv);
  return argv;
}
