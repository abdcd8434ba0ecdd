import type { PressureThreshold } from "../../container/pressure.ts";
import { parseGoDuration } from "./go-duration.ts";
import { UsageError } from "./usage-error.ts";

/** Limits of the kernel in microseconds: Documentation/accounting/psi.rst. */
const SHORTEST_WINDOW = 500_000;
const LONGEST_WINDOW = 10_000_000;

/** Parses a value of `events --psi`: `some:memory:150ms/1s`. */
export function parsePressureThreshold(text: string): PressureThreshold {
  const refuse = (reason: string): never => {
    throw new UsageError(`invalid value ${JSON.stringify(text)} for flag -psi: ${reason}`, "events");
  };
  const [kind = "", resource = "", time = "", ...more] = text.split(":");
  const [stallUs, windowUs] = time.split("/").map(microseconds);
  if (
    !(kind === "some" || kind === "full") ||
    !(resource === "cpu" || resource === "memory" || resource === "io") ||
    stallUs === undefined ||
    windowUs === undefined ||
    more.length > 0 ||
    time.split("/").length > 2
  )
    return refuse("must be some|full:cpu|memory|io:STALL/WINDOW, as in some:memory:150ms/1s");
  if (windowUs < SHORTEST_WINDOW || windowUs > LONGEST_WINDOW) refuse("the window must be from 500ms to 10s");
  if (stallUs < 1 || stallUs > windowUs) refuse("the stall must be from 1us to the window");
  return { text, kind, resource, stallUs, windowUs };
}

/** The kernel's unit. Returns undefined if the text is no duration. */
function microseconds(text: string): number | undefined {
  const milliseconds = parseGoDuration(text);
  return milliseconds === undefined ? undefined : Math.round(milliseconds * 1000);
}
