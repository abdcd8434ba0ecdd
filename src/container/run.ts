import { PR_SET_CHILD_SUBREAPER } from "../../bindings/abi/prctl.ts";
import { syscall } from "../../bindings/ffi/syscall.ts";
import type { GlobalOptions, RunOptions } from "./context.ts";
import { type Created, createLocked } from "./create.ts";
import { deleteContainer } from "./delete.ts";
import { noteExit } from "./record/note-exit.ts";
import { SeccompTrace } from "./seccomp/trace.ts";
import { type StartOptions, startContainer } from "./start.ts";
import { Foreground, foregroundTerminal, holdForwardedSignals } from "./stdio/foreground.ts";
import type { NotifyRelay } from "./stdio/notify-socket.ts";

/**
 * Creates and starts a container. In the foreground it waits for the end of init, passing signals on, deletes the container and
 * returns the exit code as a shell would: 128 and the number for a signal.
 */
export async function runContainer(context: GlobalOptions, options: RunOptions): Promise<number> {
  if (options.detach) {
    await startOrDelete(context, createLocked(context, options), { notify: "until ready" });
    return 0;
  }
  if (!options.noSubreaper)
    syscall("prctl", [PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0], ["PR_SET_CHILD_SUBREAPER"]);
  holdForwardedSignals();
  const terminal = foregroundTerminal();
  const trace = options.seccompTrace === true ? new SeccompTrace() : undefined;
  const created = createLocked(
    context,
    trace === undefined ? options : { ...options, changeConfig: trace.changeConfig },
    terminal.open,
  );
  let foreground: Foreground | undefined;
  try {
    foreground = new Foreground(created.state.pid, terminal.relay());
    if (trace !== undefined) foreground.serve(trace);
    // A service in the foreground stays its manager's main process, and passes on what the container says of its state.
    const relay = await startOrDelete(context, created, { notify: "by caller", agent: trace });
    if (relay !== undefined) foreground.serve(relay);
    const exit = foreground.wait();
    if (options.keep) noteExit(context, created.state, exit);
    return exit.exitCode;
  } finally {
    foreground?.close();
    trace?.report();
    // Still held if the container was not started.
    created.lock?.release();
    if (!options.keep) deleteContainer(context, options.id, { force: true, only: created.state });
  }
}

/** Deletes the container if its start fails: the caller never had one, and would not delete it. */
async function startOrDelete(
  context: GlobalOptions,
  created: Created,
  options: StartOptions,
): Promise<NotifyRelay | undefined> {
  const { state } = created;
  try {
    return await startContainer(context, state.id, { ...options, created });
  } catch (error) {
    deleteContainer(context, state.id, { force: true, only: state });
    throw error;
  }
}
