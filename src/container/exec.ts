import { rmSync } from "../../bindings/linux/directories.ts";
import { readFileSync } from "../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import { killAndReap } from "../../bindings/linux/reap.ts";
import { RuntsError } from "../errors.ts";
import { onBehalfOf } from "../init/run-program.ts";
import { type CpuAffinity, cpuAffinity } from "../plan/process/attributes.ts";
import type { StandardStreams } from "../plan/process/stdio.ts";
import { parseProcess, readValidConfig } from "../spec/config.ts";
import type { Config, Process } from "../spec/types.ts";
import { type Caller, inspectCaller, preservedFds, stdioFacts } from "./caller/caller.ts";
import { withDenialHint } from "./caller/credentials.ts";
import { withLabelHint } from "./caller/lsm.ts";
import type { GlobalOptions } from "./context.ts";
import { writePidFile } from "./create/pid-file.ts";
import { type ContainerJoiner, openJoiner } from "./join/join.ts";
import { completedProcess, type ExecOverrides, overriddenProcess } from "./join/process-overrides.ts";
import { awaitLastProgram, checkHasExecuted, withCgroupHint, withExecHint } from "./process/exec-result.ts";
import { openInit } from "./process/init-process.ts";
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
  /** Descriptors that the process gets as its standard streams; without them, the caller's own. */
  readonly stdio?: StandardStreams;
}

/**
 * Executes a further process in a running container, and returns its pid once its execve has happened. It is a child of this
 * process, in the namespaces of init and in its cgroup; hooks don't run for it (runtime.md knows no exec).
 */
export function execInContainer(
  context: GlobalOptions,
  options: ExecOptions,
  openTerminal?: () => TerminalReceiver,
): number {
  const { directory, saved } = readSavedState(context.root, options.id);
  checkStatus(directory, saved, options.ignorePaused);
  const config = readValidConfig(directory);
  const given = processOf(config, options);
  const receivers = connectReceivers(given, options, openTerminal);
  const size = receivers.terminal?.size;
  // The program does not wait for anybody who would set it later, as that of `run` does.
  const process = size === undefined ? given : { ...given, consoleSize: size };
  let init: OwnedDescriptor | undefined;
  try {
    const pidfd = openInit(saved.pid, saved.startTime);
    if (pidfd === undefined) throw stopped(options.id);
    init = new OwnedDescriptor(pidfd);
    return executeIn(context, options, { saved, config, process, init, receivers });
  } finally {
    init?.close();
    receivers.close();
  }
}

function checkStatus(directory: string, saved: SavedState, ignorePaused: boolean): void {
  const status = statusOf(directory, saved);
  if (status === "stopped" || status === "creating") throw stopped(saved.id);
  if (status === "paused" && !ignorePaused) throw paused(saved.id);
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

function processOf(config: Config, { processFile, overrides }: ExecOptions): Process {
  if (processFile === undefined) return overriddenProcess(config, overrides);
  const text = onBehalfOf("", "read the process file", () => readFileSync(processFile));
  return completedProcess(config, parseProcess(text, processFile));
}

interface Target {
  readonly saved: SavedState;
  readonly config: Config;
  readonly process: Process;
  /** A pidfd. */
  readonly init: OwnedDescriptor;
  readonly receivers: Receivers;
}

function executeIn(context: GlobalOptions, options: ExecOptions, target: Target): number {
  const { saved, config, process } = target;
  const caller = inspectCaller();
  const warn = (message: string) => context.log.warn(message);
  const cgroup = {
    subCgroup: options.cgroup,
    refusePaused: options.ignorePaused ? undefined : () => paused(saved.id),
  };
  const visit = { saved, config, process, caller, cgroup, warn };
  const entrance = openJoiner(context, visit);
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return enterBy(entrance, options, caller, { ...target, ownCgroup: attempt % 2 === 0 });
      } catch (error) {
        if (attempt === ATTEMPTS || options.cgroup !== undefined || !isWithoutCgroup(error)) throw error;
      }
    }
  } finally {
    entrance.close();
  }
}

/** Init's cgroup and the container's own, in turns: what the container does meanwhile may undo the choice of either. */
const ATTEMPTS = 10;

/** The cgroup has gone since it was opened, or takes no processes. */
function isWithoutCgroup(error: unknown): boolean {
  if (!(error instanceof RuntsError) || error.pointer !== "/linux/cgroupsPath") return false;
  return error.errno === "ENOENT" || error.errno === "ENODEV" || error.errno === "EBUSY";
}

function enterBy(
  entrance: ContainerJoiner,
  options: ExecOptions,
  caller: Caller,
  target: Target & { readonly ownCgroup: boolean },
): number {
  const { saved, config, process, receivers } = target;
  const { terminal } = receivers;
  const handed = preservedFds(options.preserveFds, false);
  const agent = entrance.connectAgent();
  const { execCPUAffinity } = process;
  const affinity = execCPUAffinity === undefined ? undefined : cpuAffinity(execCPUAffinity);
  const pending = entrance.spawn({
    pidfd: target.init.number,
    ownCgroup: target.ownCgroup,
    keepFds: handed.count,
    stdio: options.stdio,
    hasTerminal: terminal !== undefined,
    beforeClone: affinity?.initial,
  });
  let pid = 0;
  let pidFileWritten = false;
  let handover: TerminalHandover | undefined;
  try {
    if (terminal !== undefined) handover = terminalHandover(entrance.joined(target.init.number));
    const last = entrance.setUp(pending, {
      process,
      program: undefined,
      addedEnv: handed.env,
      keepFds: handed.count,
      gaps: handed.gaps,
      stdio: stdioFacts(terminal !== undefined, process.user?.uid ?? 0, options.stdio),
      consoleSocket: handover?.socket,
      chooseCpus: chooseCpus(affinity),
      spawned: (child) => {
        pid = child;
      },
    });
    if (terminal !== undefined) handover?.passTo(terminal.socket.number);
    terminal?.socket.close();
    terminal?.connected?.();
    receivers.pidfd?.send(pid, "setns");
    if (options.pidFile !== undefined) {
      writePidFile(options.pidFile, pid);
      pidFileWritten = true;
    }
    const connection = pending.channel.descriptor;
    agent?.handOver({ pid, connection, saved, status: "running" });
    awaitLastProgram(connection, last);
    checkHasExecuted(pid, () => config);
    return pid;
  } catch (error) {
    agent?.close();
    const reason = withExecHint(error, { pid, channel: pending.channel.descriptor, process });
    if (pid !== 0) killAndReap(pid);
    if (pidFileWritten && options.pidFile !== undefined) rmSync(options.pidFile, { force: true });
    const label = reason === error ? withLabelHint(error, process, config) : reason;
    const cloneReason = withCgroupHint(label, entrance.cgroup);
    throw withDenialHint(cloneReason, caller, config, saved.cgroup);
  } finally {
    pending.close();
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
    return foreground.wait();
  } catch (error) {
    // Nobody else knows of it.
    killAndReap(pid);
    throw error;
  } finally {
    foreground?.close();
  }
}
