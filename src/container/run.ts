import { PR_SET_CHILD_SUBREAPER } from "../../bindings/abi/prctl.ts";
import { syscall } from "../../bindings/ffi/syscall.ts";
import type { GlobalOptions, RunOptions } from "./context.ts";
import { createLocked } from "./create.ts";
import { deleteContainer } from "./delete.ts";
import { noteExit } from "./record/note-exit.ts";
import type { Recording } from "./seccomp/record/recording.ts";
import { SeccompTrace } from "./seccomp/trace.ts";
import { startContainer } from "./start.ts";
import { Foreground, foregroundTerminal, holdForwardedSignals } from "./stdio/foreground.ts";

/**
 * Creates and starts a container. In the foreground it waits for the end of init, passing signals on, deletes the container and
 * returns the exit code as a shell would: 128 and the number for a signal.
 */
export async function runContainer(context: GlobalOptions, options: RunOptions): Promise<number> {
  const { seccompRecord } = options;
  if (seccompRecord === undefined) return run(context, options, undefined);
  const { Recording } = await import("./seccomp/record/recording.ts");
  const recording = new Recording(context, seccompRecord, !options.detach);
  try {
    const code = await run(context, { ...options, changeConfig: recording.changeConfig }, recording);
    // Now that the container is deleted, with all of its processes, unless it is kept.
    recording.finish();
    return code;
  } finally {
    recording.close();
  }
}

async function run(
  context: GlobalOptions,
  options: RunOptions,
  recording: Recording | undefined,
): Promise<number> {
  if (options.detach) {
    await runDetached(context, options, recording);
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
  const agent = trace ?? recording?.agent;
  let foreground: Foreground | undefined;
  let isKept = false;
  try {
    foreground = new Foreground(created.state.pid, terminal.relay());
    if (agent !== undefined) foreground.serve(agent);
    if (options.serve !== undefined) foreground.serve(options.serve(created.state.pid));
    recording?.follow(created);
    // A service in the foreground stays its manager's main process, and passes on what the container says of its state.
    const relay = await startContainer(context, options.id, {
      notify: "by caller",
      agent,
      underInit: options.underInit ?? false,
      created,
    });
    // One that was not started is deleted all the same.
    isKept = options.keep;
    if (relay !== undefined) foreground.serve(relay);
    const exit = foreground.wait();
    if (isKept) noteExit(context, created.state, exit);
    return exit.exitCode;
  } finally {
    foreground?.close();
    trace?.report();
    // Still held if the container was not started.
    created.lock?.release();
    if (!isKept) deleteContainer(context, options.id, { force: true, only: created.state });
  }
}

/** Deletes the container if its start fails: the caller never had one, and would not delete it. */
async function runDetached(
  context: GlobalOptions,
  options: RunOptions,
  recording: Recording | undefined,
): Promise<void> {
  const created = createLocked(context, options);
  try {
    await startContainer(context, options.id, {
      notify: "until ready",
      created: recording?.hold(created) ?? created,
    });
  } catch (error) {
    // Still held if the recording has failed.
    created.lock?.release();
    deleteContainer(context, options.id, { force: true, only: created.state });
    throw error;
  }
}
