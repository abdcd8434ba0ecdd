import { substituteKernel, trySyscall } from "../../bindings/ffi/syscall.ts";
import { tapStubs } from "../../bindings/stub/client.ts";
import { runCommandLine } from "../cli/command-line.ts";
import { commands } from "../cli/commands.ts";
import { type UsualCommand, usersCommands, usualCommands } from "./commands.ts";
import { USER, WarmHost } from "./warm-host.ts";

/**
 * Runs the usual commands, through the code of the command line, on a host in memory. It is called before the process is frozen, so that
 * in a start from the image all modules are loaded and each function has run once. It neither changes nor reads anything outside of the
 * process, and leaves only the loaded code behind. Throws if a command does not end as expected.
 */
export async function warmUp(): Promise<void> {
  // The only real call. It loads the code that makes system calls.
  trySyscall("gettid");
  await runOn(new WarmHost(0), usualCommands());
  await runOn(new WarmHost(USER), usersCommands());
}

async function runOn(host: WarmHost, usual: readonly UsualCommand[]): Promise<void> {
  substituteKernel(host.call);
  tapStubs(host.stubs);
  try {
    await host.cacheFilter();
    for (const { argv, exitCode = 0, says } of usual) {
      const code = await runCommandLine(argv, commands);
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
