import { closeSync, rmSync, writeFileSync } from "node:fs";
import { listenUnix } from "../../bindings/linux/unix-socket.ts";
import { type Program, pathOf } from "../../bindings/stub/program.ts";
import { type Cgroup, createCgroup, openCgroup, removeMade, requiresCgroup } from "../cgroup/create.ts";
import { applyDeviceRules } from "../cgroup/devices.ts";
import { callerCgroup, cgroupPathFor, findCgroupMount } from "../cgroup/path.ts";
import { killCgroup, removeCgroup } from "../cgroup/remove.ts";
import { applyResources } from "../cgroup/resources.ts";
import { RuntsError } from "../errors.ts";
import { type SetUpOptions, setUpInit } from "../init/set-up.ts";
import { type Init, type PendingInit, spawnInit } from "../init/spawn-init.ts";
import { hasOwn, type Namespaces, namespacesOf } from "../plan/init-plan.ts";
import type { ContainerGroups } from "../resctrl/group.ts";
import { readConfigAndBytes } from "../spec/config.ts";
import { wantsIdMap } from "../spec/id-mapped-mount.ts";
import type { Config, LinuxResources, Process } from "../spec/types.ts";
import {
  type Caller,
  callersNotifySocket,
  type HandedDescriptors,
  handedDescriptors,
  inheritedNofile,
  inspectCaller,
  isRootless,
  stdioFacts,
} from "./caller.ts";
import { explainClone, loadDelegation } from "./delegation.ts";
import { explained } from "./exec-failure.ts";
import { hostFacts, rootfsOf } from "./host-facts.ts";
import { checkId } from "./id.ts";
import { killChild } from "./init-process.ts";
import { lockContainer } from "./lock.ts";
import type { NetDevices } from "./net-devices.ts";
import type { Context, CreateOptions } from "./options.ts";
import { writePidFile } from "./pid-file.ts";
import { connectPidfdReceiver } from "./pidfd-receiver.ts";
import type { PidfdReceiver } from "./pidfd-socket.ts";
import {
  adoptProcess,
  canSetGroups,
  credentialOptions,
  explainedDenial,
  loadIdMapper,
} from "./process-rights.ts";
import { processStat } from "./process-status.ts";
import {
  type LastOperation,
  makeContainerDirectory,
  type SavedState,
  startSocketPath,
  writeState,
} from "./saved-state.ts";
import { compileFilter } from "./seccomp-filter.ts";
import { mountLabelOf, openLabelProcfs } from "./security-modules.ts";
import { taskAttributes } from "./task-attributes.ts";
import { type TerminalReceiver, terminalReceiver } from "./terminal-receiver.ts";

/**
 * Steps 1 to 5 of the lifecycle (runtime.md): makes the container, whose init then waits for `start`. On failure nothing of it
 * is left. `openTerminal` is given where the caller itself is the other end of a terminal, which no console socket gets then.
 */
export async function createContainer(
  context: Context,
  options: CreateOptions,
  openTerminal?: () => Promise<TerminalReceiver>,
): Promise<SavedState> {
  checkId(options.id);
  const { config, bytes } = readConfigAndBytes(options.bundle, options.configFile);
  const { process } = config;
  if (process === undefined) throw new RuntsError("/process: is required", { pointer: "/process" });
  const receiver = await terminalReceiver(process, options.consoleSocket, openTerminal);
  const pidfdReceiver = await connectPidfdReceiver(options.pidfdSocket);
  const handed = handedDescriptors(options.preserveFds, true);
  const directory = makeContainerDirectory(context.root, options.id);
  let creation: Creation | undefined;
  try {
    // What was read and validated, not what may stand in the bundle by now.
    writeFileSync(`${directory}/config.json`, bytes, { mode: 0o600 });
    const notify = await prepareNotify(context, config, directory);
    creation = new Creation(context, options, notify?.config ?? config, process, directory, {
      ...handed,
      env: [...handed.env, ...(notify?.env ?? [])],
    });
    return await creation.run(receiver, pidfdReceiver);
  } catch (error) {
    if (creation === undefined) rmSync(directory, { recursive: true, force: true });
    const reason = (await creation?.explain(error)) ?? error;
    creation?.undo();
    throw reason;
  }
}

/** The caller is a service of a service manager: its container may tell that it is ready. */
async function prepareNotify({ log }: Context, config: Config, directory: string) {
  const host = callersNotifySocket();
  if (host === undefined) return undefined;
  const { prepareNotifySocket } = await import("./notify-socket.ts");
  return prepareNotifySocket(config, directory, host, (message) => log.warn(message));
}

/** The caller wants no cgroup: limits would need one. */
function refuseLimits(resources: LinuxResources | undefined): void {
  if (!requiresCgroup(resources, undefined)) return;
  const pointer = "/linux/resources";
  throw new RuntsError(`${pointer}: limits can't be set with --cgroup-manager disabled`, { pointer });
}

/** What `start` needs to name an operation of the last program that fails. */
function describeOperations({ operations, descriptors }: Program): LastOperation[] {
  const described: LastOperation[] = [];
  operations.forEach((operation, position) => {
    const { call, pointer, purpose } = operation;
    const index = position + descriptors.length;
    if (call !== "store") described.push({ index, call, pointer, purpose, path: pathOf(operation) });
  });
  return described;
}

/** One run of create: what has been made so far, for the case that it has to be undone. */
class Creation {
  readonly #context: Context;
  readonly #options: CreateOptions;
  readonly #config: Config;
  readonly #process: Process;
  readonly #directory: string;
  readonly #handed: HandedDescriptors;
  readonly #caller: Caller = inspectCaller();
  readonly #rootless: boolean;
  #cgroup: Cgroup | undefined;
  #resctrl: ContainerGroups | undefined;
  #pending: PendingInit | undefined;
  #init: Init | undefined;
  #netDevices: NetDevices | undefined;
  /** Set once hooks have run: they may have made what only these undo. */
  #runPoststop: (() => void) | undefined;

  constructor(
    context: Context,
    options: CreateOptions,
    config: Config,
    process: Process,
    directory: string,
    handed: HandedDescriptors,
  ) {
    this.#context = context;
    this.#options = options;
    this.#config = config;
    this.#process = process;
    this.#directory = directory;
    this.#handed = handed;
    this.#rootless = isRootless(context.rootless, this.#caller);
  }

  async run(
    receiver: TerminalReceiver | undefined,
    pidfdReceiver: PidfdReceiver | undefined,
  ): Promise<SavedState> {
    const lock = lockContainer(this.#directory, this.#options.id);
    const rootfs = rootfsOf(this.#config, this.#options.bundle);
    await this.#checkSysctls();
    const seccomp = await compileFilter(this.#context, this.#config, this.#caller);
    const namespaces = namespacesOf(this.#config);
    const ownUserNamespace = hasOwn(namespaces, "user");
    const attributes = await taskAttributes(
      this.#process,
      this.#config.linux ?? {},
      this.#caller,
      ownUserNamespace,
    );
    const hooks = await this.#loadHooks();
    const idMappedMounts = await this.#loadIdMappedMounts();
    const netDevices = await this.#loadNetDevices();
    const resctrl = await this.#loadResctrl();
    const delegate = await loadDelegation(this.#config, this.#process, this.#rootless);
    let state = this.#saveFirst(rootfs, resctrl, seccomp?.listener !== undefined);
    resctrl?.make();
    await this.#makeCgroup(state.cgroup);
    const mapIds = await loadIdMapper(this.#config.linux ?? {}, namespaces, this.#caller);
    const pending = this.#spawn(namespaces, mapIds);
    this.#pending = pending;
    this.#confineCgroup();
    state = { ...state, cgroup: this.#cgroup?.directory ?? "" };
    const listener = listenUnix(startSocketPath(this.#directory));
    const last = setUpInit(pending, {
      ...this.#options,
      config: this.#config,
      process: this.#process,
      namespaces,
      facts: hostFacts(
        this.#options.bundle,
        rootfs,
        this.#shownCgroup(),
        mountLabelOf(this.#config, (message) => this.#context.log.warn(message)),
        this.#caller.inUserNamespace,
        (message) => this.#context.log.warn(message),
      ),
      credentials: credentialOptions(
        this.#caller,
        this.#process,
        {
          ownUserNamespace,
          hasSeccomp: seccomp !== undefined,
          canSetGroups: mapIds !== undefined || canSetGroups(this.#caller, namespaces),
        },
        (message) => this.#context.log.warn(message),
      ),
      umask: this.#caller.umask,
      staysDumpable: !this.#caller.privileged,
      stdio: stdioFacts(receiver !== undefined, this.#process.user?.uid ?? 0),
      consoleSocket: receiver?.socket,
      procfs: openLabelProcfs(this.#process),
      attributes,
      addedEnv: this.#handed.env,
      listener,
      start: { keepFds: this.#handed.count, inheritedNofile: inheritedNofile(), seccomp },
      spawned: (init) => {
        this.#init = init;
        adoptProcess(init.pid, this.#process, this.#caller);
        resctrl?.enter(init.pid);
        if (this.#cgroup !== undefined) delegate?.(this.#cgroup.directory, init.pid);
        state = { ...state, pid: init.pid, startTime: processStat(init.pid)?.startTime ?? "" };
      },
      moveNetDevices: netDevices === undefined ? undefined : () => netDevices.move(state.pid),
      hooks: hooks === undefined ? undefined : () => hooks(state),
      idMappedMounts,
    });
    closeSync(listener);
    if (receiver !== undefined) closeSync(receiver.socket);
    await receiver?.connected?.();
    pending.channel.close();
    pidfdReceiver?.send(state.pid, "standard");
    if (this.#options.pidFile !== undefined) writePidFile(this.#options.pidFile, state.pid);
    state = {
      ...state,
      creator: null,
      lastOperations: describeOperations(last),
    };
    writeState(this.#directory, state);
    netDevices?.close();
    lock?.release();
    return state;
  }

  /** The record that `delete --force` undoes everything by is written before there is anything to undo. */
  #saveFirst(rootfs: string, resctrl: ContainerGroups | undefined, hasListener: boolean): SavedState {
    const { id, bundle } = this.#options;
    const namespaces = namespacesOf(this.#config);
    const state: SavedState = {
      id,
      pid: 0,
      startTime: "",
      creator: { pid: process.pid, startTime: processStat(process.pid)?.startTime ?? "" },
      bundle,
      rootfs,
      created: new Date().toISOString(),
      ownerUid: this.#caller.uid,
      annotations: this.#config.annotations ?? {},
      cgroup: this.#context.noCgroup === true ? "" : cgroupPathFor(this.#config, id, findCgroupMount()),
      ...(resctrl !== undefined && { resctrl: resctrl.saved }),
      ownPidNamespace: namespaces.created.has("pid"),
      ownKeyring: !this.#options.noNewKeyring,
      ownUserNamespace: hasOwn(namespaces, "user"),
      hasStartContainer: (this.#config.hooks?.startContainer ?? []).length > 0,
      hasPoststart: (this.#config.hooks?.poststart ?? []).length > 0,
      hasPoststop: (this.#config.hooks?.poststop ?? []).length > 0,
      hasListener,
      lastOperations: [],
    };
    writeState(this.#directory, state);
    return state;
  }

  async #makeCgroup(directory: string): Promise<void> {
    const { resources, cgroupsPath } = this.#config.linux ?? {};
    if (this.#context.noCgroup === true) {
      refuseLimits(resources);
      return;
    }
    try {
      this.#cgroup = createCgroup(directory, resources, { rootless: this.#rootless });
    } catch (error) {
      if (!this.#rootless) throw error;
      if (requiresCgroup(resources, cgroupsPath)) {
        const { explainCgroupError } = await import("../cgroup/delegation.ts");
        throw explainCgroupError(error, directory, this.#config.linux);
      }
      this.#context.log.debug(`no cgroup: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** What a cgroup mount shows. The caller's own cgroup, which its user may write to, is not for a rootless container (CVE-2023-25809). */
  #shownCgroup(): string | undefined {
    if (this.#cgroup !== undefined) return this.#cgroup.directory;
    return this.#context.noCgroup === true && !this.#rootless ? callerCgroup() : undefined;
  }

  /** Limits and device rules: set while init is on its way, and before it does anything. */
  #confineCgroup(): void {
    if (this.#cgroup === undefined) return;
    const { directory, created } = this.#cgroup;
    const { resources } = this.#config.linux ?? {};
    applyResources(directory, resources, { rootless: this.#rootless });
    applyDeviceRules(directory, resources?.devices, {
      rootless: this.#rootless,
      isNew: created.includes(directory),
    });
  }

  #spawn(namespaces: Namespaces, mapIds: ((pid: number) => void) | undefined): PendingInit {
    const cgroup = this.#cgroup === undefined ? undefined : openCgroup(this.#cgroup);
    return spawnInit({
      linux: this.#config.linux ?? {},
      namespaces,
      mapIds,
      oomScoreAdj: this.#caller.privileged ? undefined : this.#process.oomScoreAdj,
      cgroup,
      keepFds: this.#handed.count,
      ignoredSignals: this.#caller.ignoredSignals,
      privileged: this.#caller.privileged,
    });
  }

  async #loadResctrl(): Promise<ContainerGroups | undefined> {
    const rdt = this.#config.linux?.intelRdt;
    if (rdt === undefined) return undefined;
    const { ContainerGroups } = await import("../resctrl/group.ts");
    const { findResctrl } = await import("../resctrl/mount.ts");
    this.#resctrl = new ContainerGroups(findResctrl(), this.#options.id, rdt);
    return this.#resctrl;
  }

  async #loadNetDevices(): Promise<NetDevices | undefined> {
    const devices = this.#config.linux?.netDevices ?? {};
    if (Object.keys(devices).length === 0) return undefined;
    const { NetDevices } = await import("./net-devices.ts");
    this.#netDevices = new NetDevices(devices, this.#rootless);
    return this.#netDevices;
  }

  async #loadIdMappedMounts(): Promise<SetUpOptions["idMappedMounts"]> {
    if (!(this.#config.mounts ?? []).some(wantsIdMap)) return undefined;
    return (await import("../init/id-mapped-mounts.ts")).prepareIdMappedMounts;
  }

  async #checkSysctls(): Promise<void> {
    const { sysctl = {} } = this.#config.linux ?? {};
    if (Object.keys(sysctl).length === 0 || namespacesOf(this.#config).joined.size === 0) return;
    const { checkSysctlNamespaces } = await import("./sysctl-namespaces.ts");
    checkSysctlNamespaces(this.#config);
  }

  /** Steps 3 to 5 of the lifecycle. If one of the hooks fails it goes on at step 12, of which step 13 is the rest. */
  async #loadHooks(): Promise<((state: SavedState) => void) | undefined> {
    const {
      prestart = [],
      createRuntime = [],
      createContainer = [],
      poststop = [],
    } = this.#config.hooks ?? {};
    if (prestart.length + createRuntime.length + createContainer.length === 0) return undefined;
    const { hookState, runContainerHooks, runHooks, runHooksToTheEnd } = await import("./hooks.ts");
    return (state) => {
      const input = hookState(state, "created");
      const place = { cwd: state.bundle };
      this.#runPoststop = () => {
        const warn = (message: string) => this.#context.log.warn(message);
        runHooksToTheEnd("poststop", poststop, hookState(state, "stopped"), place, warn);
      };
      runHooks("prestart", prestart, input, place);
      runHooks("createRuntime", createRuntime, input, place);
      runContainerHooks("createContainer", createContainer, state, state.bundle);
    };
  }

  /** While the cgroup is there, and init, who knows the container's files: what only they can tell of an error. */
  async explain(error: unknown): Promise<unknown> {
    const channel = this.#pending?.channel.descriptor;
    const reason =
      channel === undefined || this.#init === undefined
        ? error
        : await explained(error, { pid: this.#init.pid, channel, process: this.#process });
    const explainedClone = await explainClone(reason, () => this.#cgroup?.directory);
    return explainedDenial(explainedClone, this.#caller, this.#config);
  }

  /** Leaves the host as if nothing had been tried (runtime.md, Errors). */
  undo(): void {
    const steps = [
      // Init ends by itself when its channel does, should it not be known yet.
      () => this.#pending?.channel.close(),
      () => this.#init !== undefined && killChild(this.#init.pid),
      () => this.#cgroup !== undefined && killCgroup(this.#cgroup.directory),
      () => this.#cgroup !== undefined && removeCgroup(this.#cgroup.directory),
      () => this.#resctrl?.undo(),
      () => this.#netDevices?.moveBack(),
      () => this.#cgroup !== undefined && removeMade(this.#cgroup.created),
      () => rmSync(this.#directory, { recursive: true, force: true }),
      () => this.#runPoststop?.(),
    ];
    for (const step of steps) {
      try {
        step();
      } catch (error) {
        // The first error is the one to tell; what could not be undone, `delete --force` finds by the record.
        this.#context.log.warn(`clean-up: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
}
