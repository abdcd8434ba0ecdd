import { killAndReap } from "../../bindings/linux/reap.ts";
import type { GlobalOptions } from "./context.ts";
import { type ExecOptions, execInContainer } from "./exec.ts";
import { Foreground, holdForwardedSignals } from "./stdio/foreground.ts";
import { foregroundTerminal } from "./stdio/foreground-terminal.ts";

/** `exec` as a command: in the foreground it waits for the process, and returns its exit code. */
export function runExec(context: GlobalOptions, options: ExecOptions, detach: boolean): number {
  if (detach) {
    execInContainer(context, options);
    return 0;
  }
  holdForwardedSignals();
  const terminal = foregroundTerminal();
  const pid = execInContainer(context, options, terminal.open);
  let foreground: Foreground | undefined;
  try {
    foreground = new Foreground(pid, terminal.relay());
    return foreground.wait();
  } catch (error) {
    // Nobody else knows of it.
    killAndReap(pid);
    throw error;
  } finally {
    foreground?.close();
  }
}
