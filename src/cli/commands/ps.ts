import { spawnSync } from "node:child_process";
import { wholeEnvironment } from "../../../bindings/linux/own-process.ts";
import { findProgram } from "../../container/process/find-program.ts";
import { RuntsError } from "../../errors.ts";
import type { RunCommand } from "../options/description.ts";
import { writeJson, writeOutput } from "../output.ts";

export const run: RunCommand = (context, args, operations) => {
  const format = args.string("format");
  if (format !== "table" && format !== "json") throw new RuntsError("invalid format option");
  const pids = operations.ps(context, args.positional(0));
  const [, ...psArguments] = args.positionals;
  if (format === "json") writeJson(JSON.stringify(pids));
  else writeOutput(selectProcesses(runPs(psArguments.length > 0 ? psArguments : ["-ef"]), pids));
  return 0;
};

/** What ps(1) prints of all processes. It sees the caller's /proc, and so has the pids of the caller's pid namespace. */
function runPs(args: readonly string[]): string {
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
    // It hangs with any process that the kernel holds the memory map of.
    timeout: 60_000,
  });
  if (error !== undefined) {
    throw new RuntsError(`cannot run ps: ${error.message}`, { operation: "ps", path, cause: error });
  }
  if (status === 0) return stdout;
  const end = status === null ? `signal: ${signal}` : `exit status ${status}`;
  throw new RuntsError(`ps ${args.join(" ")}: ${end}: ${`${stderr}${stdout}`.trim()}`, { operation: "ps" });
}

/** The title line of a table of ps, and the lines of these processes. */
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
