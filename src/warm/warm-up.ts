import { substituteKernel, trySyscall } from "../../bindings/ffi/syscall.ts";
import { tapStubs } from "../../bindings/stub/client.ts";
import { runCommandLine } from "../cli/command-line.ts";
import { commands as cliCommands } from "../cli/commands.ts";
import { type UsualCommand, usersCommands, usualCommands } from "./commands.ts";
import { USER, WarmHost } from "./warm-host.ts";

/**
 * Runs the usual commands, by the code that the command line runs, on a host that exists only here: before the process is frozen, so
 * that a start from its memory loads nothing and each function on its way has run once. Nothing outside of the process is changed or
 * looked at, and nothing stays behind but what has been loaded. Throws where a command does not end as it usually does.
 */
export async function warmUp(): Promise<void> {
  // The one real call: what makes them is loaded by it.
  trySyscall("gettid");
  await runOn(new WarmHost(0), usualCommands());
  await runOn(new WarmHost(USER), usersCommands());
}

async function runOn(host: WarmHost, commands: readonly UsualCommand[]): Promise<void> {
  substituteKernel(host.call);
  tapStubs(host.stubs);
  try {
    await host.keepFilters();
    for (const { argv, exitCode = 0, says } of commands) {
      const code = await runCommandLine(argv, cliCommands);
      const said = host.takeErrors();
      const isUsual = code === exitCode && (says === undefined ? said === "" : says.test(said));
      if (!isUsual) throw new Error(`warm-up: ${argv.join(" ")}: exit code ${code}: ${said.trim()}`);
    }
    host.checkClosed();
  } finally {
    host.endSystemd();
    tapStubs(undefined);
    substituteKernel(undefined);
  }
}
