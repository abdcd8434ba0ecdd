import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import { randomNumber } from "../../bindings/linux/random.ts";
import { killAndReap } from "../../bindings/linux/reap.ts";
import { listenUnix } from "../../bindings/linux/unix-socket.ts";
import type { Program } from "../../bindings/stub/program.ts";
import { cgroupPathFor, findCgroupMount } from "../cgroup/path.ts";
import { setUpInit } from "../init/set-up.ts";
import { type Init, type PendingInit, spawnInit } from "../init/spawn-init.ts";
import { type HostFacts, hasNamespace, type Namespaces, namespacesOf } from "../plan/init-plan.ts";
import type { CredentialOptions } from "../plan/process/credentials.ts";
import { parseConfig } from "../spec/config.ts";
import { processOrDefault } from "../spec/process.ts";
import type { Config, Process } from "../spec/types.ts";
import {
  type Caller,
  callersNotifySocket,
  inheritedNofile,
  inspectCaller,
  isRootless,
  mappedConfig,
  type PreservedFds,
  preservedFds,
  stdioFacts,
} from "./caller/caller.ts";
import {
  applyHostLimits,
  canSetGroups,
  credentialOptions,
  idMapperFor,
  withDenialHint,
} from "./caller/credentials.ts";
import { execLabels, mountLabelOf, withLabelHint } from "./caller/lsm.ts";
import type { CreateOptions, GlobalOptions } from "./context.ts";
import { ContainerCgroup } from "./create/cgroup.ts";
import { bundlePath, hostFacts, openBundle, rootfsOf } from "./create/host-facts.ts";
import { withMountHint } from "./create/mount-target.ts";
import { type OptionalFeatures, prepareOptionalFeatures } from "./create/optional-parts.ts";
import { writePidFile } from "./create/pid-file.ts";
import { undoAll } from "./create/undo.ts";
import { awaitLastProgram, withCgroupHint, withExecHint } from "./process/exec-result.ts";
import { startTimeOf } from "./process/process-status.ts";
import { inNetworkOfInit } from "./process/start-socket.ts";
import { type ContainerLock, lockContainer } from "./record/lock.ts";
import {
  checkId,
  describeOperations,
  initialState,
  makeContainerDirectory,
  removeContainerDirectory,
  type SavedState,
  saveConfig,
  startSocketPath,
  writeState,
} from "./record/saved-state.ts";
import { prepareNotifySocket } from "./stdio/notify-socket.ts";
import { connectReceivers, type Receivers, type TerminalReceiver } from "./stdio/receivers.ts";

/** A container that was made a moment ago. */
export interface Created {
  readonly state: SavedState;
  /** The caller's to release: nobody else has got at the container yet. undefined if its directory is gone. */
  readonly lock: ContainerLock | undefined;
}

/**
 * Steps 1 to 5 of the lifecycle (runtime.md): makes the container, whose init then waits for `start`. On failure nothing of it
 * is left. `openTerminal` is given where the caller itself is the other end of a terminal, which no console socket gets then.
 */
export function createContainer(...given: Parameters<typeof createLocked>): SavedState {
  const { state, lock } = createLocked(...given);
  lock?.release();
  return state;
}

/** As createContainer, for a caller who goes on with the container. */
export function createLocked(
  context: GlobalOptions,
  asked: CreateOptions,
  openTerminal?: () => TerminalReceiver,
): Created {
  checkId(asked.id);
  const { config: given, bytes, bundle } = openContainersBundle(asked);
  const options = { ...asked, bundle };
  const warn = (message: string) => context.log.warn(message);
  const config = mappedConfig(warn, options.changeConfig?.(given) ?? given, options.caller);
  const process = processOrDefault(config);
  const receivers = connectReceivers(process, options, openTerminal);
  try {
    return createFor(receivers, context, options, { config, bytes, process });
  } finally {
    receivers.close();
  }
}

interface Given {
  readonly config: Config;
  /** What was read and validated, not what may stand in the bundle by now. */
  readonly bytes: Uint8Array;
  readonly process: Process;
}

function createFor(
  receivers: Receivers,
  context: GlobalOptions,
  options: CreateOptions,
  { config, bytes, process }: Given,
): Created {
  const handed = preservedFds(options.preserveFds, true);
  const directory = makeContainerDirectory(context.root, options.id);
  let creation: Creation | undefined;
  try {
    saveConfig(directory, bytes);
    const notify = prepareNotify(context, config, directory);
    creation = new Creation(context, options, {
      config: notify?.config ?? config,
      process,
      directory,
      handed: { ...handed, env: [...handed.env, ...(notify?.env ?? [])] },
    });
    return creation.run(receivers);
  } catch (error) {
    if (creation === undefined) removeContainerDirectory(directory);
    const reason = creation?.explain(error) ?? error;
    creation?.undo();
    throw reason;
  }
}

function openContainersBundle({ bundle, configFile, configText }: CreateOptions) {
  if (configText === undefined) return openBundle(bundle, configFile);
  return { config: parseConfig(configText, "config"), bytes: configText, bundle: bundlePath(bundle) };
}

/** The caller is a service of a service manager: its container may tell that it is ready. */
function prepareNotify({ log }: GlobalOptions, config: Config, directory: string) {
  const host = callersNotifySocket();
  if (host === undefined) return undefined;
  return prepareNotifySocket(config, directory, host, (message) => log.warn(message));
}

/** A container that is about to be made. */
interface ToCreate {
  readonly config: Config;
  readonly process: Process;
  /** Of its record and its start socket. */
  readonly directory: string;
  readonly handed: PreservedFds;
}

/** What the set-up of init depends on, beside what the whole creation does. */
interface SetUp {
  readonly rootfs: string;
  readonly parts: OptionalFeatures;
  readonly namespaces: Namespaces;
  /** Whether somebody else writes the mappings of the user namespace. */
  readonly hasMapper: boolean;
  readonly terminal: TerminalReceiver | undefined;
}

/** One run of create: what has been made so far, for the case that it has to be undone. */
class Creation {
  readonly #context: GlobalOptions;
  readonly #options: CreateOptions;
  readonly #config: Config;
  readonly #process: Process;
  readonly #directory: string;
  readonly #handed: PreservedFds;
  readonly #caller: Caller;
  readonly #rootless: boolean;
  readonly #cgroup: ContainerCgroup;
  #parts: OptionalFeatures | undefined;
  #pending: PendingInit | undefined;
  #init: Init | undefined;
  #state: SavedState | undefined;
  #lock: ContainerLock | undefined;
  #listener: OwnedDescriptor | undefined;

  constructor(
    context: GlobalOptions,
    options: CreateOptions,
    { config, process, directory, handed }: ToCreate,
  ) {
    this.#context = context;
    this.#options = options;
    this.#config = config;
    this.#process = process;
    this.#directory = directory;
    this.#handed = handed;
    this.#caller = options.caller ?? inspectCaller();
    this.#rootless = isRootless(context.rootless, this.#caller);
    this.#cgroup = new ContainerCgroup(context, config.linux ?? {}, this.#rootless);
  }

  run({ terminal, pidfd }: Receivers): Created {
    this.#lock = lockContainer(this.#directory, this.#options.id);
    const rootfs = rootfsOf(this.#config, this.#options.bundle);
    const parts = prepareOptionalFeatures(this.#context, this.#options.id, this.#config, this.#process, {
      caller: this.#caller,
      rootless: this.#rootless,
      rootfs,
    });
    this.#parts = parts;
    this.#saveFirst(rootfs, parts);
    parts.resctrl?.make();
    this.#cgroup.make(this.#saved.cgroup, parts.scope);
    const namespaces = namespacesOf(this.#config);
    const mapIds = idMapperFor(this.#config.linux ?? {}, namespaces, this.#caller);
    const pending = this.#spawn(namespaces, mapIds);
    this.#pending = pending;
    this.#cgroup.confine();
    this.#change({ cgroup: this.#cgroup.directory ?? "" });
    const last = this.#setUp(pending, {
      rootfs,
      parts,
      namespaces,
      hasMapper: mapIds !== undefined,
      terminal,
    });
    terminal?.socket.close();
    terminal?.connected?.();
    pidfd?.send(this.#saved.pid, "standard");
    if (this.#options.pidFile !== undefined) writePidFile(this.#options.pidFile, this.#saved.pid);
    // Init closes it, with all other descriptors of the set-up, right before it waits for `start`.
    awaitLastProgram(pending.channel.descriptor, last);
    pending.channel.close();
    this.#change({ creator: null, lastOperations: describeOperations(last) });
    writeState(this.#directory, this.#saved);
    parts.netDevices?.close();
    parts.scope?.close();
    return { state: this.#saved, lock: this.#lock };
  }

  /** Leads init to where it waits for `start`; returns its last program. */
  #setUp(pending: PendingInit, { rootfs, parts, namespaces, hasMapper, terminal }: SetUp): Program {
    const { seccomp, hooks, netDevices } = parts;
    const stdio = stdioFacts(terminal !== undefined, this.#process.user?.uid ?? 0, this.#options.stdio);
    if (stdio.pipes !== undefined) this.#change({ pipes: stdio.pipes });
    const last = setUpInit(pending, {
      ...this.#options,
      config: this.#config,
      process: this.#process,
      namespaces,
      keyring: this.#saved.keyring,
      facts: this.#facts(rootfs),
      credentials: this.#credentials(namespaces, seccomp !== undefined, hasMapper),
      staysDumpable: !this.#caller.privileged,
      stdio,
      consoleSocket: terminal?.socket.number,
      attributes: parts.attributes,
      addedEnv: this.#handed.env,
      listen: () => this.#listen(),
      start: {
        keepFds: this.#handed.count,
        gaps: this.#handed.gaps,
        inheritedNofile: inheritedNofile(),
        seccomp,
      },
      spawned: (init) => this.#adopt(init, parts),
      moveNetDevices: netDevices === undefined ? undefined : () => netDevices.move(this.#saved.pid),
      hooks: hooks === undefined ? undefined : () => hooks.run(this.#saved),
      idMappedMounts: parts.idMappedMounts,
      callersSources: parts.callersSources,
      deviceNodes: parts.deviceNodes,
    });
    this.#listener?.close();
    return last;
  }

  #listen(): number {
    const path = startSocketPath(this.#directory);
    const listener = new OwnedDescriptor(
      withPurpose("", "make the socket that init waits on", () =>
        inNetworkOfInit(this.#saved, () => listenUnix(path)),
      ),
    );
    this.#listener = listener;
    return listener.number;
  }

  /** Gives init, which has done nothing yet, what only the runtime can give it. */
  #adopt(init: Init, { resctrl, delegate }: OptionalFeatures): void {
    const { pid } = init;
    this.#init = init;
    this.#cgroup.enter(pid);
    applyHostLimits(pid, this.#process, this.#caller);
    resctrl?.enter(pid);
    if (this.#cgroup.directory !== undefined) delegate?.(this.#cgroup.directory, pid);
    this.#change({ pid, startTime: startTimeOf(pid) });
    // With its last program it goes on alone: without a cgroup nothing else leads to it, should this process be killed then.
    if (this.#cgroup.directory === undefined) writeState(this.#directory, this.#saved);
  }

  #facts(rootfs: string): HostFacts {
    const warn = (message: string) => this.#context.log.warn(message);
    return hostFacts({
      bundle: this.#options.bundle,
      rootfs,
      cgroup: this.#cgroup.visibleCgroup(),
      mountLabel: mountLabelOf(this.#config, warn),
      inUserNamespace: this.#caller.inUserNamespace,
      warn,
    });
  }

  #credentials(namespaces: Namespaces, hasSeccomp: boolean, hasMapper: boolean): CredentialOptions {
    return credentialOptions(
      this.#caller,
      this.#process,
      {
        ownUserNamespace: hasNamespace(namespaces, "user"),
        hasSeccomp,
        canSetGroups: hasMapper || canSetGroups(this.#caller, namespaces),
        annotations: this.#config.annotations,
      },
      (message) => this.#context.log.warn(message),
    );
  }

  get #saved(): SavedState {
    if (this.#state === undefined) throw new Error("the state was not saved yet");
    return this.#state;
  }

  #change(changes: Partial<SavedState>): void {
    this.#state = { ...this.#saved, ...changes };
  }

  /** The record that `delete --force` undoes everything by is written before there is anything to undo. */
  #saveFirst(rootfs: string, { scope, resctrl, hostMount, seccomp }: OptionalFeatures): void {
    const { id, bundle, noNewKeyring } = this.#options;
    this.#state = initialState(this.#config, {
      id,
      bundle,
      rootfs,
      ownerUid: this.#caller.uid,
      cgroup: this.#cgroupPath(),
      ...(scope !== undefined && { scope: scope.saved }),
      ...(resctrl !== undefined && { resctrl: resctrl.saved }),
      ...(hostMount !== undefined && { hostMount: hostMount.saved }),
      ...(!noNewKeyring && { keyring: newKeyringName(id) }),
      hasListener: seccomp?.listener !== undefined,
    });
    writeState(this.#directory, this.#state);
  }

  #cgroupPath(): string {
    if (this.#context.noCgroup === true) return "";
    const path = () => cgroupPathFor(this.#config, this.#options.id, findCgroupMount());
    return this.#cgroup.cgroupToRecord(this.#parts?.scope?.directory ?? path());
  }

  #spawn(namespaces: Namespaces, mapIds: ((pid: number) => void) | undefined): PendingInit {
    const cgroup = this.#cgroup.open();
    try {
      return spawnInit({
        linux: this.#config.linux ?? {},
        namespaces,
        mapIds,
        execLabels: execLabels(this.#process, this.#saved.keyring !== undefined),
        oomScoreAdj: this.#caller.privileged ? undefined : this.#process.oomScoreAdj,
        cgroup: cgroup?.number,
        keepFds: this.#handed.count,
        ignoredSignals: this.#caller.ignoredSignals,
        stdio: this.#options.stdio,
        hasTerminal: this.#process.terminal === true,
        privileged: this.#caller.privileged,
      });
    } finally {
      cgroup?.close();
    }
  }

  /** While the cgroup is there, and init, who knows the container's files: what only they can tell of an error. */
  explain(error: unknown): unknown {
    const channel = this.#pending?.channel.descriptor;
    const reason =
      channel === undefined || this.#init === undefined
        ? error
        : withExecHint(error, { pid: this.#init.pid, channel, process: this.#process });
    const label = reason === error ? withLabelHint(error, this.#process, this.#config) : reason;
    const explainedClone = withCgroupHint(label, () => this.#cgroup.directory);
    const target = withMountHint(explainedClone, this.#config);
    return withDenialHint(target, this.#caller, this.#config);
  }

  /** Leaves the host as if nothing had been tried (runtime.md, Errors). */
  undo(): void {
    undoAll(this.#context, [
      // Init ends by itself when its channel does, should it not be known yet.
      () => this.#pending?.close(),
      () => this.#init !== undefined && killAndReap(this.#init.pid),
      ...this.#cgroup.undoing(),
      () => this.#parts?.hostMount?.remove(),
      () => this.#parts?.resctrl?.undo(),
      () => this.#parts?.netDevices?.moveBack(),
      () => removeContainerDirectory(this.#directory),
      () => this.#parts?.hooks?.poststop(),
      () => this.#listener?.close(),
      () => this.#parts?.scope?.close(),
      // Until here nobody else gets at what is left of it.
      () => this.#lock?.release(),
    ]);
  }
}

/**
 * Name of a session keyring that is to be made. Nobody may know it before: another user, or another container, could make a keyring of
 * that name, which the kernel would then join, with all keys that the container puts there in reach of whoever made it. keyctl(2),
 * KEYCTL_JOIN_SESSION_KEYRING
 */
function newKeyringName(id: string): string {
  return `_ses.${id}.${randomNumber()}`;
}
