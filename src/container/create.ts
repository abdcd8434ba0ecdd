import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import { randomNumber } from "../../bindings/linux/random.ts";
import { listenUnix } from "../../bindings/linux/unix-socket.ts";
import type { Program } from "../../bindings/stub/program.ts";
import type { SpawnOptions } from "../init/clone-by-stub.ts";
import { type PlannedProcess, type ProcessOptions, planProcess, sendExec } from "../init/prepare-process.ts";
import { onBehalfOf } from "../init/run-program.ts";
import { Session } from "../init/session.ts";
import {
  beginPlan,
  handOverSources,
  needsInit,
  type PlannedMounts,
  planMounts,
  planNamespaces,
  planRootChange,
  runtimeSources,
} from "../init/set-up.ts";
import { type PendingProcess, spawnProcess } from "../init/spawn-process.ts";
import { hasNamespace, namespacesOf } from "../plan/init-plan.ts";
import { mountRequests } from "../plan/mounts/requests.ts";
import { allowedAnnotations } from "../spec/annotations.ts";
import { parseConfig } from "../spec/config.ts";
import { processOrDefault } from "../spec/process.ts";
import type { Config, Process } from "../spec/types.ts";
import {
  type Caller,
  callersNotifySocket,
  inheritedNofile,
  inspectCaller,
  mappedConfig,
  preservedFds,
  stdioFacts,
} from "./caller/caller.ts";
import { applyHostLimits, canSetGroups, credentialOptions, withDenialHint } from "./caller/credentials.ts";
import { execLabels, mountLabelOf } from "./caller/lsm.ts";
import type { CreateOptions, GlobalOptions } from "./context.ts";
import { bundlePath, openBundle, rootfsOf } from "./create/bundle.ts";
import { withMountHint } from "./create/mount-target.ts";
import { NewContainer } from "./create/new-container.ts";
import { idMapperFor } from "./create/newuidmap.ts";
import { awaitLastProgram, withProcessHint } from "./process/exec-result.ts";
import { startTimeOf } from "./process/process-status.ts";
import { inNetworkOfInit } from "./process/start-socket.ts";
import type { ContainerLock } from "./record/lock.ts";
import { checkId, describeOperations, type SavedState, startSocketPath } from "./record/saved-state.ts";
import { prepareNotifySocket } from "./stdio/notify-socket.ts";
import { connectReceivers, type TerminalReceiver } from "./stdio/receivers.ts";

/** A container that was made a moment ago. */
export interface Created {
  readonly state: SavedState;
  /** The caller's to release: nobody else has got at the container yet. undefined if its directory is gone. */
  readonly lock: ContainerLock | undefined;
}

/** Creates a container, and releases its lock. See `createLocked`. */
export function createContainer(...given: Parameters<typeof createLocked>): SavedState {
  const { state, lock } = createLocked(...given);
  lock?.release();
  return state;
}

/**
 * Creates a container, whose init then waits for `start`: steps 1 to 5 of the lifecycle (runtime.md). On failure nothing of it is left.
 * `openTerminal` is given for a foreground terminal, whose other end is the caller itself; it excludes `--console-socket`.
 *
 * Init is sent a program as soon as it is planned, and carries it out while the next one is planned. The runtime awaits init where
 * `awaitProcess`, `handOverSources`, `receiveAll`, `sendExec` and `awaitLastProgram` are called, and in `planMounts` where `needsInit` says so.
 */
export function createLocked(
  context: GlobalOptions,
  options: CreateOptions,
  openTerminal?: () => TerminalReceiver,
): Created {
  // Read the config, and connect to those who wait for a terminal or a pidfd.
  checkId(options.id);
  const warn = (message: string) => context.log.warn(message);
  const caller = options.caller ?? inspectCaller();
  const { config: read, bytes, bundle } = readConfig(options);
  const mapped = mappedConfig(warn, options.changeConfig?.(read) ?? read, caller);
  const process = processOrDefault(mapped);
  const allowed =
    mapped.annotations === undefined ? {} : allowedAnnotations(mapped, context.allowedAnnotations ?? []);
  const receivers = connectReceivers(process, { ...options, allowed }, openTerminal);
  const { terminal, pidfd, close: closeReceivers } = receivers;
  const container = new NewContainer(context, options.id, mapped.linux ?? {}, caller);
  let pending: PendingProcess | undefined;
  try {
    // Take the id, and check what the config asks for. Only the container's directory has to be removed if that fails.
    const preserved = preservedFds(options.preserveFds, true);
    container.makeDirectory(bytes);
    if (options.makesRootfs === true) container.makeRootfs(mapped);
    const { config, env } = withNotifySocket(mapped, container.directory, warn);
    const namespaces = namespacesOf(config);
    // With a rootfs of its own, the container's directory has all that a bundle has.
    const place = options.makesRootfs === true ? container.directory : bundle;
    const rootfs = rootfsOf(config, place);
    const features = container.prepareFeatures(config, process, rootfs, allowed);
    const mapIds = idMapperFor(config.linux ?? {}, namespaces, caller);
    const keyring = options.noNewKeyring ? undefined : newKeyringName(options.id);
    const labels = execLabels(process, keyring !== undefined);

    // Record all that `delete --force` has to undo, before there is anything to undo.
    container.record(config, { bundle: place, rootfs, ...(keyring !== undefined && { keyring }) });

    // Make the cgroup, and spawn init into it: the kernel clones it while its limits are set and its first program is planned.
    container.makeCgroup();
    pending = spawnIn(container, {
      linux: config.linux ?? {},
      namespaces,
      mapIds,
      execLabels: labels,
      oomScoreAdj: caller.privileged ? undefined : process.oomScoreAdj,
      keepFds: preserved.count,
      ignoredSignals: caller.ignoredSignals,
      stdio: options.stdio,
      hasTerminal: process.terminal === true,
      privileged: caller.privileged,
    });
    container.cgroup.applyLimits();
    container.changeRecord({ cgroup: container.cgroup.directory ?? "" });

    // Plan namespaces, mounts and devices (step 2), and send them to init.
    const stdio = stdioFacts(terminal !== undefined, process.user?.uid ?? 0, options.stdio);
    if (stdio.pipes !== undefined) container.changeRecord({ pipes: stdio.pipes });
    const processOptions: ProcessOptions = {
      process,
      credentials: credentialsOf(config, process, caller, {
        hasSeccomp: features.seccomp !== undefined,
        hasMapper: mapIds !== undefined,
        warn,
      }),
      staysDumpable: !caller.privileged,
      stdio,
      attributes: features.attributes,
      landlock: features.landlock,
      addedEnv: [...preserved.env, ...env],
      start: {
        keepFds: preserved.count,
        gaps: preserved.gaps,
        inheritedNofile: inheritedNofile(),
        seccomp: features.seccomp,
        underInit: options.underInit ?? false,
      },
    };
    const session = new Session(pending);
    const facts = container.hostFacts(mountLabelOf(config, warn));
    const plan = beginPlan(session, { config, namespaces, facts, noPivot: options.noPivot, keyring });
    const opened: OwnedDescriptor[] = [];
    let mounts: PlannedMounts;
    try {
      planNamespaces(session, plan, opened);
      const requests = mountRequests(plan);
      const sources = runtimeSources(requests, features);
      const awaitsFirst = needsInit(requests, sources);
      if (awaitsFirst) adoptInit(container, process, session.awaitProcess());
      const deviceNodes = awaitsFirst ? handOverSources(session, plan, requests, sources, opened) : undefined;
      const consoleSocket = terminal?.socket.number;
      mounts = planMounts(session, plan, requests, { ...processOptions, deviceNodes, consoleSocket });
      if (!awaitsFirst) adoptInit(container, process, session.awaitProcess());
      session.send();
    } finally {
      for (const descriptor of opened) descriptor.close();
    }

    // Run the hooks (steps 3 to 5): the namespaces are there, and the host is still in reach.
    const { netDevices, hooks, delegatedCgroup } = features;
    if (netDevices !== undefined || hooks !== undefined || delegatedCgroup !== undefined)
      session.receiveAll();
    if (delegatedCgroup !== undefined)
      container.cgroup.enterDelegated(delegatedCgroup, {
        pid: session.pid,
        uid: process.user?.uid ?? 0,
        ownUserNamespace: hasNamespace(namespaces, "user"),
      });
    netDevices?.move(session.pid);
    hooks?.run(container.state);

    // Change the root directory, and prepare the process up to its execve, before which it waits for `start`.
    planRootChange(session, plan, mounts, process);
    const planned = planProcess(session, plan.root, processOptions, mounts.terminal);
    session.send();
    const last = sendLast(session, container, planned, processOptions);

    // Tell the engine. Then wait until init closes its channel, right before it waits for `start`, and write the final record.
    terminal?.socket.close();
    terminal?.connected?.();
    pidfd?.send(session.pid, "standard");
    if (options.pidFile !== undefined) container.writePidFile(options.pidFile, session.pid);
    awaitLastProgram(session.channel.descriptor, last);
    session.channel.close();
    container.changeRecord({ creator: null, lastOperations: describeOperations(last) });
    container.writeRecord();
    container.closeFeatures();
    return { state: container.state, lock: container.lock };
  } catch (error) {
    // While the cgroup is there, and init, which knows the container's files.
    const cgroup = container.cgroup.directory;
    const failed = withProcessHint(error, { pending, process, config: mapped, cgroup });
    const reason = withDenialHint(withMountHint(failed, mapped), caller, mapped);
    container.undo(() => pending?.kill());
    throw reason;
  } finally {
    closeReceivers();
  }
}

/** The bytes are those that were read and validated, not those that may stand in the bundle by now. */
function readConfig({ bundle, configFile, configText }: CreateOptions): {
  readonly config: Config;
  readonly bytes: Uint8Array;
  readonly bundle: string;
} {
  if (configText === undefined) return openBundle(bundle, configFile);
  return { config: parseConfig(configText, "config"), bytes: configText, bundle: bundlePath(bundle) };
}

/** Lets the container tell the caller's service manager that it is ready, if the caller is a service: sd_notify(3). */
function withNotifySocket(
  config: Config,
  directory: string,
  warn: (message: string) => void,
): { readonly config: Config; readonly env: readonly string[] } {
  const host = callersNotifySocket();
  const prepared = host === undefined ? undefined : prepareNotifySocket(config, directory, host, warn);
  return prepared ?? { config, env: [] };
}

/**
 * Name of a session keyring that is to be made. Nobody may know it before: another user, or another container, could make a keyring of
 * that name, which the kernel would then join, with all keys that the container puts there in reach of whoever made it. keyctl(2),
 * KEYCTL_JOIN_SESSION_KEYRING
 */
function newKeyringName(id: string): string {
  return `_ses.${id}.${randomNumber()}`;
}

function spawnIn({ cgroup }: NewContainer, options: Omit<SpawnOptions, "cgroup">): PendingProcess {
  const directory = cgroup.open();
  try {
    return spawnProcess({ ...options, cgroup: directory?.number });
  } finally {
    directory?.close();
  }
}

function credentialsOf(
  config: Config,
  process: Process,
  caller: Caller,
  options: {
    readonly hasSeccomp: boolean;
    /** Whether somebody else writes the mappings of the user namespace. */
    readonly hasMapper: boolean;
    readonly warn: (message: string) => void;
  },
): ProcessOptions["credentials"] {
  const namespaces = namespacesOf(config);
  const container = {
    ownUserNamespace: hasNamespace(namespaces, "user"),
    hasSeccomp: options.hasSeccomp,
    canSetGroups: options.hasMapper || canSetGroups(caller, namespaces),
    annotations: config.annotations,
  };
  return credentialOptions(caller, process, container, options.warn);
}

/**
 * Gives init, which has done nothing yet, what only the runtime can give it, and notes its pid. That includes its cgroup only if systemd
 * makes a scope for it: into any other cgroup clone3(2) has put it.
 */
function adoptInit(container: NewContainer, process: Process, pid: number): void {
  const { cgroup, features, caller } = container;
  cgroup.enter(pid);
  applyHostLimits(pid, process, caller);
  features.resctrl?.enter(pid);
  if (features.delegate !== undefined && cgroup.ofContainer !== undefined)
    features.delegate(cgroup.ofContainer, pid);
  container.changeRecord({ pid, startTime: startTimeOf(pid) });
  // If this process is killed once init has its last program, `delete` finds init by its cgroup or, without one, by the record alone.
  if (cgroup.directory === undefined) container.writeRecord();
}

/** Sends init's last program, which waits for `start` on a socket. The socket is made while init does what it was sent before. */
function sendLast(
  session: Session,
  { directory, state }: NewContainer,
  planned: PlannedProcess,
  options: ProcessOptions,
): Program {
  const socket = new OwnedDescriptor(
    onBehalfOf("", "make the socket that init waits on", () =>
      inNetworkOfInit(state, () => listenUnix(startSocketPath(directory))),
    ),
  );
  try {
    return sendExec(session, planned, options, socket.number);
  } finally {
    socket.close();
  }
}
