import { readFileSync } from "../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import { killAndReap } from "../../bindings/linux/reap.ts";
import { RuntsError } from "../errors.ts";
import { onBehalfOf } from "../init/run-program.ts";
import { type CpuAffinity, cpuAffinity } from "../plan/process/attributes.ts";
import type { StandardStreams } from "../plan/process/stdio.ts";
import { parseProcess, readValidConfig } from "../spec/config.ts";
import type { Config, Process } from "../spec/types.ts";
import { inspectCaller, preservedFds, stdioFacts } from "./caller/caller.ts";
import { withDenialHint } from "./caller/credentials.ts";
import type { GlobalOptions } from "./context.ts";
import { removePidFile, writePidFile } from "./create/pid-file.ts";
import { ContainerJoiner } from "./join/joiner.ts";
import { completedProcess, type ExecOverrides, overriddenProcess } from "./join/process-overrides.ts";
import { awaitLastProgram, checkHasExecuted, withProcessHint } from "./process/exec-result.ts";
import { openProcess } from "./process/saved-process.ts";
import { type OpenWaitFifo, openWaitFifo } from "./process/wait-fifo.ts";
import { readSavedState, type SavedState } from "./record/saved-state.ts";
import { statusOf } from "./record/status.ts";
import { Foreground, foregroundTerminal, holdForwardedSignals } from "./stdio/foreground.ts";
import { connectReceivers, type Receivers, type TerminalReceiver } from "./stdio/receivers.ts";
import { type TerminalHandover, terminalHandover } from "./stdio/terminal-handover.ts";

export interface ExecOptions {
  readonly id: string;
  /** A process.json; without one, the container's own process with these changes. */
  readonly processFile?: string;
  readonly overrides: ExecOverrides;
  readonly consoleSocket?: string;
  readonly pidfdSocket?: string;
  readonly pidFile?: string;
  readonly preserveFds: number;
  /** Sub-cgroup of the container's cgroup. */
  readonly cgroup?: string;
  readonly ignorePaused: boolean;
  /** Path of a fifo. The process waits before its execve until somebody opens it, and nobody waits for the execve. */
  readonly waitFifo?: string;
  /** Descriptors that the process gets as its standard streams; without them, the caller's own. */
  readonly stdio?: StandardStreams;
}

/**
 * Executes a further process in a running container, and returns its pid once its execve has happened. It is a child of this
 * process, in the namespaces of init and in its cgroup. Hooks don't run for it (runtime.md knows no exec).
 */
export function execInContainer(
  context: GlobalOptions,
  options: ExecOptions,
  openTerminal?: () => TerminalReceiver,
): number {
  // The container has to run.
  const { directory, saved } = readSavedState(context.root, options.id);
  checkStatus(directory, saved, options.ignorePaused);

  // The process, and those who wait for its terminal or its pidfd.
  const config = readValidConfig(directory);
  const asked = processToExec(config, options);
  const receivers = connectReceivers(asked, options, openTerminal);
  const { size } = receivers.terminal ?? {};
  // The program does not wait for anybody who sets the size later, as that of `run` does.
  const process = size === undefined ? asked : { ...asked, consoleSize: size };

  // Try init's present cgroup first, on the next attempt the container's own, and so on in turns.
  let init: OwnedDescriptor | undefined;
  let joiner: ContainerJoiner | undefined;
  let fifo: OpenWaitFifo | undefined;
  try {
    if (options.waitFifo !== undefined) fifo = openWaitFifo(options.waitFifo);
    init = openInitToJoin(saved);
    const warn = (message: string) => context.log.warn(message);
    joiner = new ContainerJoiner(context, { saved, config, process, caller: inspectCaller(), warn });
    if (fifo !== undefined && joiner.hasListener) throw unattended();
    for (let attempt = 1; ; attempt++) {
      try {
        return execOnce(joiner, init.number, receivers, { ...options, fifo }, attempt % 2 === 0);
      } catch (error) {
        if (attempt === ATTEMPTS || options.cgroup !== undefined || !isWithoutCgroup(error)) throw error;
      }
    }
  } finally {
    joiner?.close();
    fifo?.close();
    init?.close();
    receivers.close();
  }
}

function checkStatus(directory: string, saved: SavedState, ignorePaused: boolean): void {
  const status = statusOf(directory, saved);
  if (status === "stopped" || status === "creating") throw stopped(saved.id);
  if (status === "paused" && !ignorePaused) throw paused(saved.id);
}

/** The runtime takes the listener when the filter is loaded, and does not wait so long. */
function unattended(): RuntsError {
  const pointer = "/linux/seccomp";
  const message = `${pointer}: a filter that notifies an agent can't be used with --exec-wait-fifo`;
  return new RuntsError(message, { operation: "exec", pointer });
}

/** Returns a pidfd of the container's init. */
function openInitToJoin({ id, pid, startTime }: SavedState): OwnedDescriptor {
  const pidfd = openProcess(pid, startTime);
  if (pidfd === undefined) throw stopped(id);
  return new OwnedDescriptor(pidfd);
}

function paused(id: string): RuntsError {
  return new RuntsError("cannot exec in a paused container (use --ignore-paused to override)", {
    operation: "exec",
    path: id,
  });
}

function stopped(id: string): RuntsError {
  return new RuntsError("cannot exec in a stopped container", { operation: "exec", path: id });
}

function processToExec(config: Config, { processFile, overrides }: ExecOptions): Process {
  if (processFile === undefined) return overriddenProcess(config, overrides);
  const text = onBehalfOf("", "read the process file", () => readFileSync(processFile));
  return completedProcess(config, parseProcess(text, processFile));
}

/** Tries to join a cgroup: what the container does meanwhile may undo the choice of init's cgroup, and of the container's own. */
const ATTEMPTS = 10;

/** Whether the cgroup has gone since it was opened, or takes no processes. */
function isWithoutCgroup(error: unknown): boolean {
  if (!(error instanceof RuntsError) || error.pointer !== "/linux/cgroupsPath") return false;
  return error.errno === "ENOENT" || error.errno === "ENODEV" || error.errno === "EBUSY";
}

/** Joins the container with a new process, and leads that to its execve. On failure nothing of it is left. */
function execOnce(
  joiner: ContainerJoiner,
  init: number,
  { terminal, pidfd }: Receivers,
  options: ExecOptions & { readonly fifo: OpenWaitFifo | undefined },
  ownCgroup: boolean,
): number {
  // Spawn the process by a stub that joins the container: the kernel clones it while its first program is planned.
  const { saved, config, process, caller } = joiner.request;
  const preserved = preservedFds(options.preserveFds, false);
  const affinity = process.execCPUAffinity && cpuAffinity(process.execCPUAffinity);
  const refusePaused = options.ignorePaused ? undefined : () => paused(saved.id);
  const pending = joiner.join({
    pidfd: init,
    cgroup: { subCgroup: options.cgroup, refusePaused, ownCgroup },
    keepFds: preserved.count,
    stdio: options.stdio,
    hasTerminal: terminal !== undefined,
    beforeClone: affinity?.initial,
  });
  const connection = pending.channel.descriptor;
  let handover: TerminalHandover | undefined;
  let pidFile: string | undefined;
  try {
    // Send it its programs, of which the last one ends in the execve.
    if (terminal !== undefined) handover = terminalHandover(joiner.joined(init));
    const { pid, last } = joiner.setUp(pending, {
      process,
      program: undefined,
      addedEnv: preserved.env,
      keepFds: preserved.count,
      gaps: preserved.gaps,
      stdio: stdioFacts(terminal !== undefined, process.user?.uid ?? 0, options.stdio),
      consoleSocket: handover?.socket,
      chooseCpus: chooseCpus(affinity),
      fifo: options.fifo,
    });

    // Tell the receivers and the engine, and wait for the execve.
    if (terminal !== undefined) handover?.passTo(terminal.socket.number);
    terminal?.socket.close();
    terminal?.connected?.();
    pidfd?.send(pid, "setns");
    if (options.pidFile !== undefined) {
      writePidFile(options.pidFile, pid);
      pidFile = options.pidFile;
    }
    joiner.handOverListener(pid, connection, "running");
    awaitLastProgram(connection, last);
    // A process that waits for the reader of a fifo has closed the channel, too.
    if (options.fifo === undefined) checkHasExecuted("exec", pid, () => config);
    pending.close();
    return pid;
  } catch (error) {
    // While the process is there, which knows the container's files.
    const failed = withProcessHint(error, { pending, process, config, cgroup: joiner.cgroupDirectory });
    const reason = withDenialHint(failed, caller, config, saved.cgroup);
    pending.kill();
    if (pidFile !== undefined) removePidFile(pidFile);
    throw reason;
  } finally {
    handover?.close();
  }
}

/** config.md, process.execCPUAffinity: with `initial` alone, what the kernel made of it at the change of cgroup stays. */
function chooseCpus(affinity: CpuAffinity | undefined): CpuAffinity["final"] {
  return affinity?.final ?? (affinity?.initial === undefined ? undefined : () => undefined);
}

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
    return foreground.wait().exitCode;
  } catch (error) {
    // Nobody else knows of it.
    killAndReap(pid);
    throw error;
  } finally {
    foreground?.close();
  }
}
