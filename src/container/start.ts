import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { rmSync } from "../../bindings/linux/directories.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { connectUnix } from "../../bindings/linux/unix-socket.ts";
import { SyscallError } from "../../bindings/syscall-error.ts";
import { RuntsError } from "../errors.ts";
import { operationError } from "../init/run-program.ts";
import { readValidConfig } from "../spec/config.ts";
import type { Hook } from "../spec/types.ts";
import { callersNotifySocket } from "./caller/caller.ts";
import type { GlobalOptions } from "./context.ts";
import type { Created } from "./create.ts";
import { destroy } from "./delete.ts";
import { runHooks } from "./hooks/hooks.ts";
import { prepareStartHooks } from "./hooks/start-hooks.ts";
import { checkHasExecuted, type ProgramFailure, readFailure, withExecHint } from "./process/exec-result.ts";
import { killInit, openInit } from "./process/init-process.ts";
import { inNetworkOfInit } from "./process/start-socket.ts";
import { lockContainer } from "./record/lock.ts";
import { hookState } from "./record/oci-state.ts";
import {
  checkId,
  containerDirectory,
  doesNotExist,
  type SavedState,
  startSocketPath,
  tryReadState,
} from "./record/saved-state.ts";
import { statusOf } from "./record/status.ts";
import { connectToAgent, type SeccompAgent } from "./seccomp/agent.ts";
import { type NotifyRelay, openNotifyRelay } from "./stdio/notify-socket.ts";

export interface StartOptions {
  /**
   * Who passes on what the container says to the service manager of the caller, sd_notify(3): start does, and so has started a
   * container only once it says that it is ready; the caller does; nobody.
   */
  readonly notify: "until ready" | "by caller" | "by nobody";
  /** Takes the seccomp listener in place of the config's agent. */
  readonly agent?: SeccompAgent | undefined;
  /** The container, where the caller has just made it: its lock is released here. */
  readonly created?: Created;
}

/**
 * Steps 6 to 9 of the lifecycle (runtime.md): the container's program is executed, then the poststart hooks run. Returns what the
 * caller is to serve, and to close.
 */
export async function startContainer(
  context: GlobalOptions,
  id: string,
  options: StartOptions,
): Promise<NotifyRelay | undefined> {
  checkId(id);
  const { saved, relay } = startLocked(context, id, options);
  if (relay === undefined || options.notify === "by caller") return relay;
  try {
    await untilReady(relay, saved);
    return undefined;
  } finally {
    relay.close();
  }
}

/** Listens before the container's program may send anything. */
function openRelay(
  { log }: GlobalOptions,
  directory: string,
  notify: StartOptions["notify"],
): NotifyRelay | undefined {
  const host = notify === "by nobody" ? undefined : callersNotifySocket();
  if (host === undefined) return undefined;
  return openNotifyRelay(directory, host, (message) => log.warn(message));
}

async function untilReady(relay: NotifyRelay, { pid, startTime }: SavedState): Promise<void> {
  const pidfd = openInit(pid, startTime);
  if (pidfd === undefined) return;
  try {
    await relay.untilReady(pid, pidfd);
  } finally {
    closeSync(pidfd);
  }
}

function startLocked(
  context: GlobalOptions,
  id: string,
  { notify, agent, created }: StartOptions,
): { readonly saved: SavedState; readonly relay: NotifyRelay | undefined } {
  const directory = containerDirectory(context.root, id);
  const lock = created === undefined ? lockContainer(directory, id) : created.lock;
  if (lock === undefined) throw doesNotExist(id);
  let relay: NotifyRelay | undefined;
  try {
    const saved = created?.state ?? tryReadState(directory);
    if (saved === undefined) throw doesNotExist(id);
    const status = statusOf(directory, saved);
    if (status === "stopped") throw wrongStatus(id, "cannot start a container that has stopped");
    if (status === "paused") throw wrongStatus(id, "cannot start a container in the paused state");
    if (status !== "created") throw wrongStatus(id, "cannot start an already running container");
    if (!saved.hasProcess) throw nothingToStart(id);
    // Not before: the socket in the place is that of whoever has started the container, if it runs.
    relay = openRelay(context, directory, notify);
    runStartContainerHooks(context, directory, saved);
    releaseInit(directory, saved, agent);
    runPoststartHooks(context, directory, saved);
    return { saved, relay };
  } catch (error) {
    relay?.close();
    throw error;
  } finally {
    lock.release();
  }
}

function wrongStatus(id: string, message: string): RuntsError {
  return new RuntsError(message, { operation: "start", path: id });
}

/** runtime.md, Start: MUST generate an error if process was not set. The container stays as it is. */
function nothingToStart(id: string): RuntsError {
  const pointer = "/process";
  return new RuntsError(`${pointer}: is required by start`, { operation: "start", path: id, pointer });
}

/**
 * Connects to init, which waits for that, and waits for its execve: the connection is closed by it. Until then, init sends what
 * has failed.
 */
function releaseInit(directory: string, saved: SavedState, ownAgent: SeccompAgent | undefined): void {
  // Before init is released: a container whose agent can't be reached stays as it is.
  const connected = saved.hasListener && ownAgent === undefined ? agentOf(directory) : undefined;
  try {
    releaseBy(saved.hasListener ? (ownAgent ?? connected) : undefined, directory, saved);
  } finally {
    connected?.close();
  }
}

function releaseBy(agent: SeccompAgent | undefined, directory: string, saved: SavedState): void {
  const path = startSocketPath(directory);
  const connection = connectToInit(path, saved);
  try {
    if (agent !== undefined) handOver(agent, connection, saved);
    const failed = readFailure(connection, operationsOf(saved));
    if (failed === undefined) {
      checkHasExecuted(saved.pid, () => readValidConfig(directory));
      return;
    }
    const { process } = readValidConfig(directory);
    throw withExecHint(startFailure(saved, failed), { pid: saved.pid, channel: connection, process });
  } finally {
    closeSync(connection);
    withPurpose("", "remove the socket that init has waited on", () => rmSync(path, { force: true }));
  }
}

function handOver(agent: SeccompAgent, connection: number, saved: SavedState): void {
  try {
    agent.handOver({ pid: saved.pid, connection, saved, status: "created" });
  } catch (error) {
    killInit(saved.pid, saved.startTime);
    throw error;
  }
}

function agentOf(directory: string): SeccompAgent {
  return connectToAgent(readValidConfig(directory).linux?.seccomp);
}

/** Nobody listens any more if init has ended in this very moment. */
function connectToInit(path: string, saved: SavedState): number {
  try {
    return withPurpose("", "let init go on", () => inNetworkOfInit(saved, () => connectUnix(path)));
  } catch (error) {
    if (!(error instanceof SyscallError) || error.errno !== "ECONNREFUSED") throw error;
    throw wrongStatus(path, "cannot start a container that has stopped");
  }
}

/** The last of them is the execve. */
function operationsOf({ lastOperations }: SavedState): number {
  return (lastOperations.at(-1)?.index ?? -1) + 1;
}

function startFailure(saved: SavedState, { index, errno }: ProgramFailure): RuntsError {
  const operation = saved.lastOperations.find((entry) => entry.index === index);
  return operationError(
    { call: "execve", pointer: "/process", purpose: "start the program", path: "", ...operation },
    errno,
  );
}

/** Step 7: a hook that fails ends the container before its program has run (runtime.md, Lifecycle). */
function runStartContainerHooks(context: GlobalOptions, directory: string, saved: SavedState): void {
  if (!saved.hasStartContainer) return;
  const runAll = prepareStartHooks(context, saved, readValidConfig(directory));
  try {
    runAll();
  } catch (error) {
    destroyFailed(context, directory, saved);
    throw error;
  }
}

/** Step 9: a hook that fails ends the container (runtime.md, Lifecycle). */
function runPoststartHooks(context: GlobalOptions, directory: string, saved: SavedState): void {
  if (!saved.hasPoststart) return;
  const hooks: readonly Hook[] = readValidConfig(directory).hooks?.poststart ?? [];
  try {
    runHooks("poststart", hooks, hookState(saved, "running"), { cwd: saved.bundle });
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
