import { PR_SET_CHILD_SUBREAPER } from "../../bindings/abi/prctl.ts";
import { syscall } from "../../bindings/ffi/syscall.ts";
import { RuntsError } from "../errors.ts";
import type { GlobalOptions } from "./context.ts";
import { openBundle } from "./create/host-facts.ts";
import type { RestoreOptions } from "./criu/options.ts";
import { Restoration } from "./criu/restoration.ts";
import { warnUnprivileged } from "./criu/session.ts";
import { deleteContainer } from "./delete.ts";
import { checkId, type SavedState } from "./record/saved-state.ts";
import { Foreground, foregroundTerminal, holdForwardedSignals } from "./stdio/foreground.ts";
import { type TerminalReceiver, terminalReceiver } from "./stdio/receivers.ts";

/**
 * Makes a container anew from the images of a checkpoint, whose processes run on where they were. In the foreground it waits for
 * the end of init and deletes the container, as `run` does.
 */
export function restoreContainer(context: GlobalOptions, options: RestoreOptions): number {
  if (options.detach) {
    restore(context, options);
    return 0;
  }
  if (!options.noSubreaper)
    syscall("prctl", [PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0], ["PR_SET_CHILD_SUBREAPER"]);
  holdForwardedSignals();
  const terminal = foregroundTerminal();
  const state = restore(context, options, terminal.open);
  let foreground: Foreground | undefined;
  try {
    foreground = new Foreground(state.pid, terminal.relay());
    return foreground.wait();
  } finally {
    foreground?.close();
    deleteContainer(context, options.id, { force: true, only: state });
  }
}

function restore(
  context: GlobalOptions,
  options: RestoreOptions,
  openTerminal?: () => TerminalReceiver,
): SavedState {
  checkId(options.id);
  warnUnprivileged(context, "restore");
  const { config, bytes, bundle } = openBundle(options.bundle, undefined);
  const { process } = config;
  if (process === undefined) throw new RuntsError("/process: is required", { pointer: "/process" });
  const receiver = terminalReceiver(process, options.consoleSocket, openTerminal);
  try {
    return new Restoration(context, { ...options, bundle }, config, receiver).run(process, bytes);
  } finally {
    receiver?.socket.close();
  }
}
