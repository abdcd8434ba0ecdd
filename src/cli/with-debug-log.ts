import type { GlobalOptions } from "../container/context.ts";
import { logCauses, logSteps } from "../debug/debug.ts";
import type { Invocation } from "./command.ts";

/** Runs a command and logs each of its steps. */
export async function withDebugLog(
  command: string,
  { root, log }: GlobalOptions,
  { positionals, options }: Invocation,
  action: () => number | Promise<number>,
): Promise<number> {
  // For `mounts` and `devices`, the id follows the subcommand.
  const id = positionals[command === "mounts" || command === "devices" ? 1 : 0] ?? "";
  const subject = `${command} ${id}`.trimEnd();
  log.debug(`${subject}: the containers' state is in ${root}`);
  const { profile } = options;
  if (profile !== undefined) log.debug(`${subject}: its steps are in the profile ${profile}`);
  const end = logSteps(log, command);
  try {
    const code = await action();
    log.debug(`${subject}: exit code ${code}`);
    return code;
  } catch (error) {
    logCauses(log, error);
    throw error;
  } finally {
    end();
  }
}
