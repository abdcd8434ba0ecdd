import { wholeEnvironment } from "../../../bindings/linux/own-process.ts";
import { findProgram } from "../../container/process/find-program.ts";
import { listProcesses } from "../../container/ps.ts";
import { RuntsError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import { writeJson, writeOutput } from "../output.ts";

export const psCommand = defineCommand({
  name: "ps",
  summary: "show the processes of a container",
  positionals: { usage: "<container-id> [options of ps]", min: 1, max: Infinity, endOptions: true },
  options: {
    format: {
      alias: "f",
      type: "string",
      description: "table, the output of ps, or json, a list of process ids",
      default: "table",
    },
  },
  description: ["Shows the processes in a container's cgroup. ps(1) prints them, with the given options."],
  examples: [
    ["runts ps web", "as ps -ef prints them"],
    ["runts ps --format json web", "their ids"],
    ["runts ps web -o pid,rss,args", "with other columns"],
  ],
  async run(context, { positionals: [id, ...psArguments], options: { format } }) {
    if (format !== "table" && format !== "json") throw new RuntsError("invalid format option");
    const pids = listProcesses(context, id);
    if (format === "json") writeJson(JSON.stringify(pids));
    else writeOutput(selectProcesses(await runPs(psArguments.length > 0 ? psArguments : ["-ef"]), pids));
    return 0;
  },
});

/** Returns what ps(1) prints for all processes. It reads the caller's /proc, and so prints pids of the caller's pid namespace. */
async function runPs(args: readonly string[]): Promise<string> {
  // Imported on demand: it takes some 4 ms to load.
  const { spawnSync } = await import("node:child_process");
  const path = findProgram("ps");
  if (path === undefined)
    throw new RuntsError("cannot run ps: it is not installed", {
      operation: "ps",
      errno: "ENOENT",
      path: "ps",
    });
  const { error, status, signal, stdout, stderr } = spawnSync(path, args, {
    encoding: "utf8",
    env: wholeEnvironment(),
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: Number.POSITIVE_INFINITY,
    // ps hangs on a process whose memory map the kernel has locked.
    timeout: 60_000,
  });
  if (error !== undefined) {
    throw new RuntsError(`cannot run ps: ${error.message}`, { operation: "ps", path, cause: error });
  }
  if (status === 0) return stdout;
  const end = status === null ? `signal: ${signal}` : `exit status ${status}`;
  throw new RuntsError(`ps ${args.join(" ")}: ${end}: ${`${stderr}${stdout}`.trim()}`, { operation: "ps" });
}

/** Selects the title line and the lines of these processes from the output of ps. */
export function selectProcesses(table: string, pids: readonly number[]): string {
  const [title = "", ...lines] = table.split("\n");
  const column = words(title).indexOf("PID");
  if (column < 0) throw new RuntsError("couldn't find PID field in ps output", { operation: "ps" });
  const wanted = new Set(pids);
  const selected = lines.filter((line) => line !== "" && wanted.has(pidOf(line, column)));
  return `${[title, ...selected].join("\n")}\n`;
}

function pidOf(line: string, column: number): number {
  const word = words(line)[column] ?? "";
  if (/^\d+$/.test(word)) return Number(word);
  throw new RuntsError(`unable to parse pid: ${JSON.stringify(word)} in ${JSON.stringify(line)}`, {
    operation: "ps",
  });
}

function words(line: string): string[] {
  return line.trim().split(/\s+/);
}
