import { RuntsError } from "../../errors.ts";
import { toJson } from "../../spec/json/writer.ts";
import type { ParsedArguments } from "../options/arguments.ts";
import type { RunCommand } from "../options/description.ts";
import { parseGoDuration } from "../options/go-duration.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeJson } from "../output.ts";

export const run: RunCommand = (context, args, operations) => {
  const intervalMs = intervalOf(args);
  operations.events(
    context,
    args.positional(0),
    args.flag("stats") ? undefined : intervalMs,
    // One write a line, as the reader may be at it for days.
    (event) => writeJson(toJson(event)),
  );
  return 0;
};

/** At least one millisecond, as the kernel's timeout is given in them. */
function intervalOf(args: ParsedArguments): number {
  const text = args.string("interval") ?? "";
  const milliseconds = parseGoDuration(text);
  if (milliseconds === undefined) {
    throw new UsageError(`invalid value ${JSON.stringify(text)} for flag -interval: parse error`, "events");
  }
  if (milliseconds > 0) return Math.ceil(milliseconds);
  throw new RuntsError("duration interval must be greater than 0", { operation: "usage" });
}
