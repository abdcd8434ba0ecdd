import { SyscallError } from "../../bindings/syscall-error.ts";
import { exitCodeOf, RuntsError } from "../errors.ts";
import { openLog, writeStandardError } from "../log.ts";
import { versionText } from "../version.ts";
import type { Command, Invocation } from "./command.ts";
import { contextFrom, openLogFrom, SYSTEM_LOG, systemLogAt } from "./context.ts";
import { parseArguments } from "./options/arguments.ts";
import { globalOptions } from "./options/global-options.ts";
import { UsageError } from "./options/usage-error.ts";
import { writeOutput } from "./output.ts";
import { withDebugLog } from "./with-debug-log.ts";

/** runc's exit code for an unknown command; podman tries `checkpoint --help` to see whether it exists. */
const UNKNOWN_COMMAND = 3;

/** Runs one of the commands with these arguments, reports a failure, and returns the exit code. */
export async function runCommandLine(argv: readonly string[], commands: readonly Command[]): Promise<number> {
  let log = openLog({ format: "text", debug: false });
  let debug = false;
  let failureCode = 1;
  try {
    const { options: globals, positionals, help } = parseArguments(argv, { options: globalOptions });
    debug = globals.debug || globals["log-level"] === "debug";
    const { log: target } = globals;
    const systemLog = target !== undefined && SYSTEM_LOG.test(target) ? await systemLogAt(target) : undefined;
    log = openLogFrom(globals, systemLog);
    if (globals.version) {
      writeOutput(versionText());
      return 0;
    }
    const topic = helpTopic(positionals, help);
    if (topic !== undefined) return await showHelp(topic, commands);
    const [name = "", ...rest] = positionals;
    const command = findCommand(name, commands);
    const invocation = command.parse(rest);
    if (invocation === "help") return await showHelp(name, commands);
    failureCode = command.failureCode ?? 1;
    systemLog?.setContainer(containerOf(command, invocation));
    const context = contextFrom(globals, log, invocation.usesState);
    const run = () => invocation.run(context, commands);
    return await (debug && invocation.usesState ? withDebugLog(name, context, invocation, run) : run());
  } catch (error) {
    const pointer = error instanceof RuntsError ? error.pointer : undefined;
    log.error(isInternal(error) ? `internal error: ${messageOf(error)}` : messageOf(error), pointer);
    if (error instanceof UsageError) writeStandardError(`Run "${helpCommand(error)}" for usage.\n`);
    if (debug && isInternal(error) && error instanceof Error) writeStandardError(`${error.stack}\n`);
    return exitCodeOf(error, failureCode);
  }
}

function findCommand(name: string, commands: readonly Command[]): Command {
  const command = commands.find((candidate) => candidate.name === name);
  if (command === undefined) throw new UsageError(`No help topic for '${name}'`, undefined, UNKNOWN_COMMAND);
  return command;
}

/** The id of the container that a command is called for; undefined for none. */
function containerOf({ positionals }: Command, invocation: Invocation): string | undefined {
  return invocation.positionals[positionals.usage.split(" ").indexOf("<container-id>")];
}

/** The command whose help the global level asks for, `""` for the whole program, undefined for none. */
function helpTopic([name, ...rest]: readonly string[], help: boolean): string | undefined {
  if (name === undefined) return "";
  if (name === "help" || name === "h") return rest[0] ?? "";
  return help ? name : undefined;
}

/** Prints the help of a command, or of the whole program for `""`. Loads yargs on demand. */
async function showHelp(topic: string, commands: readonly Command[]): Promise<number> {
  const command = topic === "" ? undefined : findCommand(topic, commands);
  const { commandHelp, programHelp } = await import("./help/help.ts");
  writeOutput(await (command === undefined ? programHelp(commands) : commandHelp(command)));
  return 0;
}

function helpCommand(error: UsageError): string {
  return error.command === undefined ? "runts --help" : `runts ${error.command} --help`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether an error is a bug of runts, so that its stack helps. */
function isInternal(error: unknown): boolean {
  if (error instanceof RuntsError) return false;
  if (!(error instanceof Error)) return true;
  return !(error instanceof SyscallError) && !isFileError(error);
}

/** Whether a file operation failed: its message, as in `EACCES: permission denied, open '/x'`, says enough. */
function isFileError(error: Error): boolean {
  return "syscall" in error && "code" in error;
}
