import { CAP_SYS_CHROOT, CAP_SYS_NICE } from "../../bindings/abi/capability.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../bindings/abi/fcntl.ts";
import { CLONE_NEWUSER } from "../../bindings/abi/sched.ts";
import { rmSync } from "../../bindings/linux/directories.ts";
import { closeSync, openSync, readFileSync } from "../../bindings/linux/files.ts";
import { killAndReap } from "../../bindings/linux/reap.ts";
import { RuntsError } from "../errors.ts";
import { onBehalfOf } from "../init/run-program.ts";
import { setUpExec } from "../init/set-up-exec.ts";
import { spawnInit } from "../init/spawn-init.ts";
import type { CpuAffinity } from "../plan/cpu-affinity.ts";
import { narrowCapabilities } from "../plan/credentials.ts";
import { hasOwn, type Namespaces, namespacesOf } from "../plan/init-plan.ts";
import { keyringName } from "../plan/kernel-settings.ts";
import type { StandardStreams } from "../plan/process-setup.ts";
import { parseProcess, readValidConfig } from "../spec/config.ts";
import type { Config, Process } from "../spec/types.ts";
import { handedDescriptors, inheritedNofile, inspectCaller, stdioFacts } from "./caller.ts";
import { explainClone } from "./delegation.ts";
import { differingNamespaces } from "./differing-namespaces.ts";
import { openCgroupOf } from "./exec-cgroup.ts";
import { explained } from "./exec-failure.ts";
import { type ExecOverrides, overriddenProcess } from "./exec-process.ts";
import { openInit } from "./init-process.ts";
import type { Context } from "./options.ts";
import { writePidFile } from "./pid-file.ts";
import { connectPidfdReceiver } from "./pidfd-receiver.ts";
import type { PidfdReceiver } from "./pidfd-socket.ts";
import { adoptProcess, allowsSetgroups, credentialOptions, explainedDenial } from "./process-rights.ts";
import { readSavedState, type SavedState } from "./saved-state.ts";
import { compileFilter } from "./seccomp-filter.ts";
import type { SeccompAgent } from "./seccomp-listener.ts";
import { openLabelProcfs } from "./security-modules.ts";
import { awaitClosed, checkHasExecuted } from "./start-report.ts";
import { statusOf } from "./state.ts";
import { taskAttributes } from "./task-attributes.ts";
import { type TerminalReceiver, terminalReceiver } from "./terminal-receiver.ts";

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
export async function execInContainer(
  context: Context,
  options: ExecOptions,
  openTerminal?: () => Promise<TerminalReceiver>,
): Promise<number> {
  const { directory, saved } = readSavedState(context.root, options.id);
  checkStatus(directory, saved, options.ignorePaused);
  const config = readValidConfig(directory);
  const given = processOf(config, options);
  const receiver = await terminalReceiver(given, options.consoleSocket, openTerminal);
  // The program does not wait for anybody who would set it later, as that of `run` does.
  const process = receiver?.size === undefined ? given : { ...given, consoleSize: receiver.size };
  const pidfdReceiver = await connectPidfdReceiver(options.pidfdSocket);
  const pidfd = openInit(saved.pid, saved.startTime);
  if (pidfd === undefined) throw stopped(options.id);
  return executeIn(context, options, { saved, config, process, pidfd, receiver, pidfdReceiver });
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
  return parseProcess(text, processFile);
}

interface Target {
  readonly saved: SavedState;
  readonly config: Config;
  readonly process: Process;
  readonly pidfd: number;
  readonly receiver: TerminalReceiver | undefined;
  readonly pidfdReceiver: PidfdReceiver | undefined;
}

async function executeIn(context: Context, options: ExecOptions, target: Target): Promise<number> {
  const { saved, config, process, receiver } = target;
  const caller = inspectCaller();
  const handed = handedDescriptors(options.preserveFds, false);
  const namespaces = namespacesOf(config);
  const ownUserNamespace = hasOwn(namespaces, "user");
  const seccomp = await compileFilter(context, config, caller);
  const agent = seccomp?.listener === undefined ? undefined : await agentOf(config);
  const resctrl = saved.resctrl === undefined ? undefined : await import("../resctrl/group.ts");
  const attributes = await taskAttributes(process, config.linux ?? {}, caller, ownUserNamespace);
  const affinity = await affinityOf(process);
  const flags = differingNamespaces(saved.pid);
  const joinsUserNamespace = caller.privileged && (flags & CLONE_NEWUSER) !== 0;
  const attachToScope = joinsUserNamespace ? undefined : await attachBySystemd(saved, options.cgroup);
  const cgroup =
    attachToScope === undefined
      ? openCgroupOf(saved, {
          subCgroup: options.cgroup,
          refusePaused: options.ignorePaused ? undefined : () => paused(saved.id),
        })
      : undefined;
  const attach = attachToScope ?? (joinsUserNamespace ? cgroup?.attachToOwned() : undefined);
  const credentials = credentialOptions(
    caller,
    process,
    {
      ownUserNamespace,
      hasSeccomp: seccomp !== undefined,
      canSetGroups: ownUserNamespace ? allowsSetgroups(saved.pid) : caller.canSetGroups,
    },
    (message) => context.log.warn(message),
  );
  const hasMounts = hasOwn(namespaces, "mount");
  const pending = spawnInit({
    linux: {},
    namespaces: NO_NAMESPACES,
    join: { pidfd: target.pidfd, flags },
    beforeClone: affinity?.initial,
    afterJoin: (program) => {
      // All of the user namespace's are had only by entering it.
      const permitted = (flags & CLONE_NEWUSER) === 0 ? caller.permitted : credentials.permitted;
      narrowCapabilities(program, process, { ...credentials, permitted }, neededFor(hasMounts, attributes));
    },
    cgroup: attach === undefined ? cgroup?.outOfReach() : undefined,
    keepFds: handed.count,
    ignoredSignals: caller.ignoredSignals,
    stdio: options.stdio,
    privileged: caller.privileged,
    oomScoreAdj: caller.privileged ? undefined : process.oomScoreAdj,
  });
  let pid = 0;
  let pidFileWritten = false;
  try {
    const last = setUpExec(pending, {
      process,
      credentials,
      umask: caller.umask,
      staysDumpable: false,
      procfs: openLabelProcfs(process),
      attributes,
      addedEnv: handed.env,
      stdio: stdioFacts(receiver !== undefined, process.user?.uid ?? 0, options.stdio),
      start: { keepFds: handed.count, inheritedNofile: inheritedNofile(), seccomp },
      keyring: saved.ownKeyring ? keyringName(saved.id) : undefined,
      inUserNamespace: ownUserNamespace,
      chroot: hasMounts ? undefined : openRootOf(saved.pid),
      consoleSocket: receiver?.socket,
      chooseCpus: chooseCpus(affinity),
      spawned: (child) => {
        pid = child.pid;
        attach?.(pid);
        adoptProcess(pid, process, caller);
        if (saved.resctrl !== undefined) resctrl?.joinGroups(saved.resctrl, pid);
      },
    });
    if (receiver !== undefined) closeSync(receiver.socket);
    await receiver?.connected?.();
    target.pidfdReceiver?.send(pid, "setns");
    if (options.pidFile !== undefined) {
      writePidFile(options.pidFile, pid);
      pidFileWritten = true;
    }
    const connection = pending.channel.descriptor;
    agent?.handOver({ pid, connection, saved, status: "running" });
    awaitClosed(connection, last);
    checkHasExecuted(pid, () => config);
    return pid;
  } catch (error) {
    const reason = await explained(error, { pid, channel: pending.channel.descriptor, process });
    if (pid !== 0) killAndReap(pid);
    if (pidFileWritten && options.pidFile !== undefined) rmSync(options.pidFile, { force: true });
    const cloneReason = await explainClone(reason, () => cgroup?.directory);
    throw await explainedDenial(cloneReason, caller, config, saved.cgroup);
  } finally {
    pending.channel.close();
  }
}

/** A user may not move processes between cgroups that others own: the user's systemd can (cgroups(7), Delegation). */
async function attachBySystemd(
  { scope }: SavedState,
  subCgroup: string | undefined,
): Promise<((pid: number) => void) | undefined> {
  if (subCgroup !== undefined || scope?.manager !== "user") return undefined;
  const { attachToScope } = await import("../cgroup/systemd-scope.ts");
  return (pid) => attachToScope(scope, pid);
}

async function agentOf({ linux }: Config): Promise<SeccompAgent> {
  const { connectToAgent } = await import("./seccomp-listener.ts");
  return connectToAgent(linux?.seccomp);
}

/** Capabilities that the set-up of some processes needs. */
function neededFor(hasMounts: boolean, attributes: unknown): number[] {
  return [...(hasMounts ? [] : [CAP_SYS_CHROOT]), ...(attributes === undefined ? [] : [CAP_SYS_NICE])];
}

const NO_NAMESPACES: Namespaces = { created: new Set(), joined: new Map() };

async function affinityOf({ execCPUAffinity }: Process): Promise<CpuAffinity | undefined> {
  if (execCPUAffinity === undefined) return undefined;
  const { cpuAffinity } = await import("../plan/cpu-affinity.ts");
  return cpuAffinity(execCPUAffinity);
}

/** config.md, process.execCPUAffinity: with `initial` alone, what the kernel made of it at the change of cgroup stays. */
function chooseCpus(affinity: CpuAffinity | undefined): CpuAffinity["final"] {
  return affinity?.final ?? (affinity?.initial === undefined ? undefined : () => undefined);
}

/** procfs' magic link is the directory itself, whatever the container does to paths. */
function openRootOf(pid: number): number {
  return openSync(`/proc/${pid}/root`, O_PATH | O_DIRECTORY | O_CLOEXEC);
}
