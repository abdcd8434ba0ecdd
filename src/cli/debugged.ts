import type { GlobalOptions } from "../container/context.ts";
import { logCauses, logSteps } from "../debug/debug.ts";
import type { ParsedArguments } from "./options/arguments.ts";

/** Runs a command and logs each of its steps. */
export async function debugged(
  command: string,
  { root, log }: GlobalOptions,
  args: ParsedArguments,
  action: () => number | Promise<number>,
): Promise<number> {
  // For `mounts`, the id follows the subcommand.
  const id = args.positionals[command === "mounts" ? 1 : 0] ?? "";
  const what = `${command} ${id}`.trimEnd();
  log.debug(`${what}: the containers' state is in ${root}`);
  const profile = args.string("profile");
  if (profile !== undefined) log.debug(`${what}: its steps are in the profile ${profile}`);
  const end = logSteps(log, command);
  try {
    const code = await action();
    log.debug(`${what}: exit code ${code}`);
    return code;
  } catch (error) {
    logCauses(log, error);
    throw error;
  } finally {
    end();
  }
}
