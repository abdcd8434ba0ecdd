import { SyscallError } from "../../bindings/syscall-error.ts";
import { RuntsError } from "../errors.ts";
import { openLog, writeStandardError } from "../log.ts";
import { versionText } from "../version.ts";
import { commands } from "./commands.ts";
import { contextFrom, openLogFrom } from "./context.ts";
import { debugged } from "./debugged.ts";
import type { Operations } from "./operations.ts";
import { checkPositionals, type ParsedArguments, parseArguments } from "./options/arguments.ts";
import type { CommandDescription } from "./options/description.ts";
import { globalOptions } from "./options/global-options.ts";
import { UsageError } from "./options/usage-error.ts";
import { writeOutput } from "./output.ts";

/** The exit code of runc for a command that does not exist; podman tries `checkpoint --help` to see whether it does. */
const UNKNOWN_COMMAND = 3;

/** Runs the program with these arguments, reports a failure, and gives the exit code. */
export async function runCommandLine(argv: readonly string[], operations: Operations): Promise<number> {
  let log = openLog({ format: "text", debug: false });
  let debug = false;
  let failureCode = 1;
  try {
    const globals = parseArguments(argv, { options: globalOptions });
    debug = globals.flag("debug") || globals.string("log-level") === "debug";
    log = openLogFrom(globals);
    const information = await informationFor(globals);
    if (information !== undefined) {
      writeOutput(information);
      return 0;
    }
    const command = findCommand(globals.positional(0));
    const args = parseArguments(globals.positionals.slice(1), {
      options: command.options,
      command: command.name,
      ...(command.positionals.endOptions === true && { endOptions: true }),
    });
    checkPositionals(command.name, command.positionals, args.positionals.length);
    failureCode = command.failureCode ?? 1;
    const usesState = command.usesState?.(args) ?? true;
    const context = contextFrom(globals, log, usesState);
    if (!debug || !usesState) return await command.run(context, args, operations);
    return await debugged(command.name, context, args, () => command.run(context, args, operations));
  } catch (error) {
    log.error(isInternal(error) ? `internal error: ${messageOf(error)}` : messageOf(error));
    if (error instanceof UsageError) writeStandardError(`Run "${helpCommand(error)}" for usage.\n`);
    if (debug && isInternal(error) && error instanceof Error) writeStandardError(`${error.stack}\n`);
    return failureCode === 1 && error instanceof RuntsError ? error.exitCode : failureCode;
  }
}

function findCommand(name: string): CommandDescription {
  const command = commands.find((candidate) => candidate.name === name);
  if (command === undefined) throw new UsageError(`No help topic for '${name}'`, undefined, UNKNOWN_COMMAND);
  return command;
}

/** The text to print when help or the version was asked for, instead of running a command. */
async function informationFor(globals: ParsedArguments): Promise<string | undefined> {
  if (globals.flag("version")) return versionText();
  const topic = helpTopic(globals);
  if (topic === undefined) return undefined;
  const { helpText } = await import("./help/help.ts");
  return helpText(topic === "" ? undefined : findCommand(topic));
}

/** The command whose help is asked for, `""` for the whole program, undefined when help is not asked for. */
function helpTopic(globals: ParsedArguments): string | undefined {
  const [name, ...rest] = globals.positionals;
  if (name === undefined) return "";
  if (name === "help" || name === "h") return rest[0] ?? "";
  if (globals.flag("help")) return name;
  // Before the arguments are checked: `create --help` lacks the id.
  const command = commands.find((candidate) => candidate.name === name);
  if (command === undefined || !rest.some((token) => /^--?h(elp)?$/.test(token))) return undefined;
  const endOptions = command.positionals.endOptions === true;
  return parseArguments(rest, { options: command.options, command: name, endOptions }).flag("help")
    ? name
    : undefined;
}

function helpCommand(error: UsageError): string {
  return error.command === undefined ? "runts --help" : `runts ${error.command} --help`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether an error is a fault of runts, so that its stack helps. */
function isInternal(error: unknown): boolean {
  if (error instanceof RuntsError) return false;
  if (!(error instanceof Error)) return true;
  return !(error instanceof SyscallError) && !isFileError(error);
}

/** A failed operation of node:fs: `EACCES: permission denied, open '/x'` needs no further words. */
function isFileError(error: Error): boolean {
  return "syscall" in error && "code" in error;
}
