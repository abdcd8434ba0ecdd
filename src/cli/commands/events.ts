import { type ContainerEvent, reportEvents, reportStats } from "../../container/events.ts";
import { RuntsError } from "../../errors.ts";
import { toJson } from "../../spec/json/writer.ts";
import { defineCommand } from "../command.ts";
import { parseGoDuration } from "../options/go-duration.ts";
import { oneContainer } from "../options/shared-options.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeJson } from "../output.ts";

export const eventsCommand = defineCommand({
  name: "events",
  summary: "report the resource usage of a container",
  positionals: oneContainer,
  options: {
    interval: {
      type: "string",
      description: "time between two reports, as in 500ms or 1m30s",
      default: "5s",
    },
    stats: { type: "boolean", description: "report once, and exit" },
  },
  description: [
    "Prints one line of JSON per interval with the container's resource usage (CPU, memory, processes, block I/O, huge pages, pressure), and one " +
      "for each OOM kill, until the container stops. For a container without a cgroup, `--stats` prints a line without counts.",
  ],
  examples: [
    ["runts events --interval 1s web", "every second"],
    ["runts events --stats web", "once"],
  ],
  run(context, { positionals: [id], options }) {
    const interval = parseInterval(options.interval);
    if (options.stats) reportStats(context, id, printEvent);
    else reportEvents(context, id, interval, printEvent);
    return 0;
  },
});

/** Writes a line of its own for each event: a reader may follow them for days. */
export function printEvent(event: ContainerEvent): void {
  writeJson(toJson(event));
}

/** Milliseconds, rounded up to the kernel's unit of timeouts. */
export function parseInterval(text: string): number {
  const milliseconds = parseGoDuration(text);
  if (milliseconds === undefined) {
    throw new UsageError(`invalid value ${JSON.stringify(text)} for flag -interval: parse error`, "events");
  }
  if (milliseconds > 0) return Math.ceil(milliseconds);
  throw new RuntsError("duration interval must be greater than 0", { operation: "usage" });
}
