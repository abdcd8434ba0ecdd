import { PR_SET_CHILD_SUBREAPER } from "../../bindings/abi/prctl.ts";
import { syscall } from "../../bindings/ffi/syscall.ts";
import { callersNotifySocket } from "./caller.ts";
import { createContainer } from "./create.ts";
import { deleteContainer } from "./delete.ts";
import { Foreground, holdForwardedSignals } from "./foreground.ts";
import { foregroundTerminal } from "./foreground-terminal.ts";
import type { NotifyRelay } from "./notify-socket.ts";
import type { Context, RunOptions } from "./options.ts";
import { containerDirectory } from "./saved-state.ts";
import type { SeccompAgent } from "./seccomp-listener.ts";
import type { SeccompTrace } from "./seccomp-trace.ts";
import { startContainer } from "./start.ts";

/**
 * Creates and starts a container. In the foreground it waits for the end of init, passing signals on, deletes the container and
 * returns the exit code as a shell would: 128 and the number for a signal.
 */
export async function runContainer(context: Context, options: RunOptions): Promise<number> {
  if (options.detach) {
    await createContainer(context, options);
    await startOrDelete(context, options.id, true);
    return 0;
  }
  if (!options.noSubreaper)
    syscall("prctl", [PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0], ["PR_SET_CHILD_SUBREAPER"]);
  holdForwardedSignals();
  const terminal = foregroundTerminal();
  const trace = options.seccompTrace === true ? await seccompTrace() : undefined;
  const state = await createContainer(
    context,
    trace === undefined ? options : { ...options, changeConfig: trace.changeConfig },
    terminal.open,
  );
  let foreground: Foreground | undefined;
  try {
    const notify = await notifyRelay(context, options.id);
    const attendants = [notify, trace].filter((attendant) => attendant !== undefined);
    foreground = new Foreground(state.pid, terminal.relay(), attendants);
    await startOrDelete(context, options.id, false, trace);
    return foreground.wait();
  } finally {
    foreground?.close();
    trace?.report();
    if (!options.keep) await deleteContainer(context, options.id, { force: true });
  }
}

/** What a failed start leaves is nobody's to delete: the caller never had a container. */
async function startOrDelete(
  context: Context,
  id: string,
  awaitReady: boolean,
  agent?: SeccompAgent,
): Promise<void> {
  try {
    await startContainer(context, id, { awaitReady, agent });
  } catch (error) {
    await deleteContainer(context, id, { force: true });
    throw error;
  }
}

/** A service in the foreground stays its manager's main process, and passes on what the container says of its state. */
async function notifyRelay({ root, log }: Context, id: string): Promise<NotifyRelay | undefined> {
  const host = callersNotifySocket();
  if (host === undefined) return undefined;
  const { openNotifyRelay } = await import("./notify-socket.ts");
  return openNotifyRelay(containerDirectory(root, id), host, (message) => log.warn(message));
}

async function seccompTrace(): Promise<SeccompTrace> {
  const { SeccompTrace } = await import("./seccomp-trace.ts");
  return new SeccompTrace();
}
