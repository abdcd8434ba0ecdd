import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { rmSync } from "../../bindings/linux/directories.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { connectUnix } from "../../bindings/linux/unix-socket.ts";
import { SyscallError } from "../../bindings/syscall-error.ts";
import { RuntsError } from "../errors.ts";
import { readValidConfig } from "../spec/config.ts";
import type { Hook } from "../spec/types.ts";
import { callersNotifySocket } from "./caller/caller.ts";
import type { GlobalOptions } from "./context.ts";
import type { Created } from "./create.ts";
import { destroy } from "./delete.ts";
import { runHooks } from "./hooks/hooks.ts";
import { prepareStartHooks } from "./hooks/start-hooks.ts";
import { awaitSavedProgram, checkHasExecuted, withExecHint } from "./process/exec-result.ts";
import { withLandlockHint } from "./process/landlock.ts";
import { killProcess, openProcess } from "./process/saved-process.ts";
import { inNetworkOfInit } from "./process/start-socket.ts";
import { type LockedContainer, withLockedContainer } from "./record/lock.ts";
import { hookState } from "./record/oci-state.ts";
import { type SavedState, startSocketPath } from "./record/saved-state.ts";
import { type Status, statusOf } from "./record/status.ts";
import { agentAddress, connectToAgent, type SeccompAgent } from "./seccomp/agent.ts";
import { type NotifyRelay, openNotifyRelay } from "./stdio/notify-socket.ts";

export interface StartOptions {
  /**
   * Messages of the container to the caller's service manager, sd_notify(3): `start` passes them on until the container says that it is
   * ready, and returns only then; or the caller of startContainer does; or nobody does.
   */
  readonly notify: "until ready" | "by caller" | "by nobody";
  /** Takes the seccomp listener in place of the config's agent. */
  readonly agent?: SeccompAgent | undefined;
  /** Whether the container was created with this option: its init executes nothing then, but a child of it does. */
  readonly underInit?: boolean;
  /** The container, if the caller has made it just now: its lock is released here. */
  readonly created?: Created;
}

/**
 * Steps 6 to 9 of the lifecycle (runtime.md): runs the startContainer hooks, lets init execute the container's program, and runs the
 * poststart hooks. Returns the relay that the caller has to serve and close, if `notify` is "by caller".
 */
export async function startContainer(
  context: GlobalOptions,
  id: string,
  options: StartOptions,
): Promise<NotifyRelay | undefined> {
  const { created, notify } = options;
  const start = (container: LockedContainer) => startLocked(context, container, options);
  const { saved, relay } = withLockedContainer(context, id, start, { created });
  if (relay === undefined || notify === "by caller") return relay;
  try {
    await untilReady(relay, saved);
    return undefined;
  } finally {
    relay.close();
  }
}

function startLocked(
  context: GlobalOptions,
  { directory, saved, status }: LockedContainer,
  { notify, agent: ownAgent, underInit = false }: StartOptions,
): { readonly saved: SavedState; readonly relay: NotifyRelay | undefined } {
  checkStartable(saved, status);
  // Only now: the socket of a container that runs belongs to the process that has started it.
  const relay = openRelay(context, directory, notify);
  let connected: SeccompAgent | undefined;
  try {
    if (saved.hasStartContainer) runStartContainerHooks(context, directory, saved);
    // Before init is released: a container whose agent can't be reached stays as it is.
    if (saved.hasListener && ownAgent === undefined) connected = connectToConfiguredAgent(directory, saved);
    releaseInit(directory, saved, {
      agent: saved.hasListener ? (ownAgent ?? connected) : undefined,
      underInit,
    });
    if (saved.hasPoststart) runPoststartHooks(context, directory, saved);
    return { saved, relay };
  } catch (error) {
    relay?.close();
    throw error;
  } finally {
    connected?.close();
  }
}

function checkStartable({ id, hasProcess }: SavedState, status: Status): void {
  if (status === "stopped") throw wrongStatus(id, "cannot start a container that has stopped");
  if (status === "paused") throw wrongStatus(id, "cannot start a container in the paused state");
  if (status !== "created") throw wrongStatus(id, "cannot start an already running container");
  if (hasProcess) return;
  // runtime.md, Start: MUST generate an error if process was not set. The container stays as it is.
  const pointer = "/process";
  throw new RuntsError(`${pointer}: is required by start`, { operation: "start", path: id, pointer });
}

function wrongStatus(id: string, message: string): RuntsError {
  return new RuntsError(message, { operation: "start", path: id });
}

/** Opens the container's notify socket, before its program may send anything to it. */
function openRelay(
  { log }: GlobalOptions,
  directory: string,
  notify: StartOptions["notify"],
): NotifyRelay | undefined {
  const host = notify === "by nobody" ? undefined : callersNotifySocket();
  if (host === undefined) return undefined;
  return openNotifyRelay(directory, host, (message) => log.warn(message));
}

/** Step 7: a hook that fails ends the container before its program has run (runtime.md, Lifecycle). */
function runStartContainerHooks(context: GlobalOptions, directory: string, saved: SavedState): void {
  const runAll = prepareStartHooks(context, saved, readValidConfig(directory));
  try {
    runAll();
  } catch (error) {
    destroyFailed(context, directory, saved);
    throw error;
  }
}

function connectToConfiguredAgent(directory: string, { allowedAnnotations }: SavedState): SeccompAgent {
  return connectToAgent(agentAddress(readValidConfig(directory).linux?.seccomp, allowedAnnotations));
}

/**
 * Step 8: connects to init, which waits for that, and waits for its execve, which closes the connection. Until then init sends the reason
 * if it fails. The agent gets the listener of init's seccomp filter.
 */
function releaseInit(
  directory: string,
  saved: SavedState,
  { agent, underInit }: { readonly agent: SeccompAgent | undefined; readonly underInit: boolean },
): void {
  const { pid, startTime } = saved;
  const path = startSocketPath(directory);
  const connection = connectToInit(path, saved);
  try {
    try {
      agent?.handOver({ pid, connection, saved, status: "created" });
    } catch (error) {
      killProcess(pid, startTime);
      throw error;
    }
    const failed = awaitSavedProgram(connection, saved.lastOperations);
    if (failed !== undefined) {
      const config = readValidConfig(directory);
      const reason = withExecHint(failed, { pid, channel: connection, process: config.process });
      throw reason === failed ? withLandlockHint(failed, config) : reason;
    }
    if (!underInit) checkHasExecuted("start", pid, () => readValidConfig(directory));
  } finally {
    closeSync(connection);
    withPurpose("", "remove the socket that init has waited on", () => rmSync(path, { force: true }));
  }
}

/** If init has ended in this very moment, nobody listens any more. */
function connectToInit(path: string, saved: SavedState): number {
  try {
    return withPurpose("", "let init go on", () => inNetworkOfInit(saved, () => connectUnix(path)));
  } catch (error) {
    if (!(error instanceof SyscallError) || error.errno !== "ECONNREFUSED") throw error;
    throw wrongStatus(path, "cannot start a container that has stopped");
  }
}

/** Step 9: a hook that fails ends the container (runtime.md, Lifecycle). */
function runPoststartHooks(context: GlobalOptions, directory: string, saved: SavedState): void {
  const hooks: readonly Hook[] = readValidConfig(directory).hooks?.poststart ?? [];
  try {
    const place = { cwd: saved.bundle, output: saved.allowedAnnotations };
    runHooks("poststart", hooks, hookState(saved, "running"), place);
  } catch (error) {
    destroyFailed(context, directory, saved);
    throw error;
  }
}

/** When a hook fails, the lifecycle continues at step 12: destroys the container and runs its poststop hooks (runtime.md, Lifecycle). */
function destroyFailed(context: GlobalOptions, directory: string, saved: SavedState): void {
  try {
    // It may have ended meanwhile, and its cgroup may be another container's now.
    const status = statusOf(directory, saved);
    destroy(context, directory, saved, { status, force: true });
  } catch (error) {
    // The caller gets the hook's error, which is the first one.
    context.log.warn(error instanceof Error ? error.message : String(error));
  }
}

/** Passes messages on until the container says that it is ready, or until its init has ended. */
async function untilReady(relay: NotifyRelay, { pid, startTime }: SavedState): Promise<void> {
  const pidfd = openProcess(pid, startTime);
  if (pidfd === undefined) return;
  try {
    await relay.untilReady(pid, pidfd);
  } finally {
    closeSync(pidfd);
  }
}
