import { type ContainerEvent, reportEvents, reportStats } from "../../container/events.ts";
import type { PressureEvent } from "../../container/pressure.ts";
import { RuntsError } from "../../errors.ts";
import { toJson } from "../../spec/json/writer.ts";
import { defineCommand } from "../command.ts";
import { parseGoDuration } from "../options/go-duration.ts";
import { parsePressureThreshold } from "../options/pressure-threshold.ts";
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
    psi: {
      type: "list",
      description:
        "also report when processes were stalled, as in some:memory:150ms/1s: 150 ms of any second; may be given more than once",
    },
    stats: { type: "boolean", description: "report once, and exit" },
  },
  description: [
    "Prints one line of JSON per interval with the container's resource usage (CPU, memory, processes, block I/O, huge pages, pressure), and one " +
      "for each OOM kill, until the container stops. For a container without a cgroup, `--stats` prints a line without counts.",
    "With --psi some|full:cpu|memory|io:STALL/WINDOW, the kernel watches the pressure in the container's cgroup. A line of type psi is printed when processes " +
      "were stalled for want of the resource for that long: `some` of the container's, or all that had work to do (`full`). There is one line per window at " +
      "most. A window is from 500ms to 10s. Without CAP_SYS_RESOURCE it has to be a multiple of 2s, and Linux 6.5 or later is needed.",
  ],
  examples: [
    ["runts events --interval 1s web", "every second"],
    ["runts events --stats web", "once"],
    ["runts events --psi some:memory:150ms/1s --psi full:io:1s/5s web", "and when memory or I/O is short"],
  ],
  async run(context, { positionals: [id], options }) {
    const interval = parseInterval(options.interval);
    const thresholds = options.psi.map(parsePressureThreshold);
    if (options.stats) {
      if (thresholds.length > 0) throw new UsageError("--psi can't be used with --stats", "events");
      reportStats(context, id, printEvent);
    } else if (thresholds.length > 0) {
      const { PressureWatch } = await import("../../container/pressure.ts");
      const watch = (cgroup: string) => new PressureWatch(id, cgroup, thresholds, context.log);
      reportEvents(context, id, interval, printEvent, watch);
    } else reportEvents(context, id, interval, printEvent);
    return 0;
  },
});

/** Writes a line of its own for each event: a reader may follow them for days. */
export function printEvent(event: ContainerEvent | PressureEvent): void {
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
