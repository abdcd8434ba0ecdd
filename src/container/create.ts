import { closeSync, copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { prlimit } from "../../bindings/linux/rlimit.ts";
import { connectUnix, listenUnix } from "../../bindings/linux/unix-socket.ts";
import { type Program, pathOf } from "../../bindings/stub/program.ts";
import { type Cgroup, createCgroup, openCgroup, requiresCgroup } from "../cgroup/create.ts";
import { applyDeviceRules } from "../cgroup/devices.ts";
import { cgroupPathFor, findCgroupMount } from "../cgroup/path.ts";
import { killCgroup, removeCgroup } from "../cgroup/remove.ts";
import { applyResources } from "../cgroup/resources.ts";
import { RuntsError } from "../errors.ts";
import { onBehalfOf } from "../init/run-program.ts";
import { setUpInit } from "../init/set-up.ts";
import { type Init, type PendingInit, spawnInit } from "../init/spawn-init.ts";
import { hasOwn, namespacesOf } from "../plan/init-plan.ts";
import type { StartOptions } from "../plan/process-setup.ts";
import { readConfig } from "../spec/config.ts";
import type { Config, Process } from "../spec/types.ts";
import {
  type Caller,
  type HandedDescriptors,
  handedDescriptors,
  inheritedNofile,
  inspectCaller,
  isRootless,
  stdioFacts,
} from "./caller.ts";
import { hostFacts, rootfsOf } from "./host-facts.ts";
import { checkId } from "./id.ts";
import { killChild } from "./init-process.ts";
import { lockContainer } from "./lock.ts";
import type { Context, CreateOptions } from "./options.ts";
import { processStat } from "./process-status.ts";
import {
  containerDirectory,
  type LastOperation,
  type SavedState,
  startSocketPath,
  writeState,
} from "./saved-state.ts";

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
  const config = readConfig(options.bundle);
  const { process } = config;
  if (process === undefined) throw new RuntsError("/process: is required", { pointer: "/process" });
  const receiver = await terminalReceiver(process, options, openTerminal);
  const handed = handedDescriptors(options.preserveFds);
  const directory = makeDirectory(context.root, options.id);
  const creation = new Creation(context, options, config, process, directory, handed);
  try {
    return await creation.run(receiver);
  } catch (error) {
    creation.undo();
    throw error;
  }
}

/** The directory is the container's existence: whoever makes it has the id. */
function makeDirectory(root: string, id: string): string {
  const directory = containerDirectory(root, id);
  try {
    mkdirSync(directory, { mode: 0o711 });
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "EEXIST") throw error;
    throw new RuntsError("container with given ID already exists", {
      operation: "create",
      errno: "EEXIST",
      path: id,
    });
  }
  return directory;
}

/** Who gets the master of the container's terminal. */
export interface TerminalReceiver {
  readonly socket: number;
  /** Called when the master is on its way. */
  readonly connected?: () => Promise<void>;
}

/** A terminal needs somebody to hand it to, and somebody who waits for one needs a terminal: runc's rules and words. */
async function terminalReceiver(
  { terminal }: Process,
  { consoleSocket }: CreateOptions,
  openTerminal: (() => Promise<TerminalReceiver>) | undefined,
): Promise<TerminalReceiver | undefined> {
  const pointer = "/process/terminal";
  const foreground = openTerminal !== undefined;
  if (consoleSocket !== undefined && (terminal !== true || foreground)) {
    throw new RuntsError(`${pointer}: cannot use console socket if runts will not detach or allocate tty`, {
      pointer,
    });
  }
  if (terminal !== true) return undefined;
  if (openTerminal !== undefined) return openTerminal();
  if (consoleSocket === undefined) {
    throw new RuntsError(
      `${pointer}: cannot allocate tty if runts will detach without setting console socket`,
      { pointer },
    );
  }
  const purpose = `connect to the console socket ${consoleSocket}`;
  return { socket: onBehalfOf(pointer, purpose, () => connectUnix(consoleSocket)) };
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
  #cgroup: Cgroup | undefined;
  #pending: PendingInit | undefined;
  #init: Init | undefined;
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
  }

  async run(receiver: TerminalReceiver | undefined): Promise<SavedState> {
    const lock = lockContainer(this.#directory, this.#options.id);
    const rootfs = rootfsOf(this.#config, this.#options.bundle);
    const seccomp = await this.#compileSeccomp();
    const hooks = await this.#loadHooks();
    let state = this.#saveFirst(rootfs);
    this.#makeCgroup(state.cgroup);
    const pending = this.#spawn();
    this.#pending = pending;
    const listener = listenUnix(startSocketPath(this.#directory));
    const last = setUpInit(pending, {
      ...this.#options,
      config: this.#config,
      process: this.#process,
      namespaces: namespacesOf(this.#config),
      facts: hostFacts(this.#options.bundle, rootfs, state.cgroup, (message) =>
        this.#context.log.warn(message),
      ),
      credentials: this.#credentials(seccomp !== undefined),
      umask: this.#caller.umask,
      stdio: stdioFacts(receiver !== undefined, this.#process.user?.uid ?? 0),
      consoleSocket: receiver?.socket,
      addedEnv: this.#handed.env,
      listener,
      start: { keepFds: this.#handed.count, inheritedNofile: inheritedNofile(), seccomp },
      spawned: (init) => {
        this.#adopt(init);
        state = { ...state, pid: init.pid, startTime: processStat(init.pid)?.startTime ?? "" };
      },
      hooks: hooks === undefined ? undefined : () => hooks(state),
    });
    closeSync(listener);
    if (receiver !== undefined) closeSync(receiver.socket);
    await receiver?.connected?.();
    pending.channel.close();
    this.#writePidFile(state.pid);
    state = { ...state, creator: null, lastOperations: describeOperations(last) };
    writeState(this.#directory, state);
    lock?.release();
    return state;
  }

  /** The record that `delete --force` undoes everything by is written before there is anything to undo. */
  #saveFirst(rootfs: string): SavedState {
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
      cgroup: cgroupPathFor(this.#config, id, findCgroupMount()),
      ownPidNamespace: namespaces.created.has("pid"),
      hasPoststart: (this.#config.hooks?.poststart ?? []).length > 0,
      hasPoststop: (this.#config.hooks?.poststop ?? []).length > 0,
      lastOperations: [],
    };
    writeState(this.#directory, state);
    copyFileSync(`${bundle}/config.json`, `${this.#directory}/config.json`);
    return state;
  }

  async #compileSeccomp(): Promise<StartOptions["seccomp"]> {
    const seccomp = this.#config.linux?.seccomp;
    if (seccomp === undefined) return undefined;
    const { compileSeccomp } = await import("../seccomp/compile.ts");
    return compileSeccomp(seccomp, (message) => this.#context.log.debug(message));
  }

  #makeCgroup(directory: string): void {
    const { resources, cgroupsPath } = this.#config.linux ?? {};
    const rootless = isRootless(this.#context.rootless, this.#caller);
    try {
      this.#cgroup = createCgroup(directory, resources, { rootless });
    } catch (error) {
      if (!rootless || requiresCgroup(resources, cgroupsPath)) throw error;
      this.#context.log.debug(`no cgroup: ${error instanceof Error ? error.message : error}`);
      return;
    }
    applyResources(directory, resources, { rootless });
    applyDeviceRules(directory, resources?.devices, {
      rootless,
      isNew: this.#cgroup.created.includes(directory),
    });
  }

  #spawn(): PendingInit {
    const cgroup = this.#cgroup === undefined ? undefined : openCgroup(this.#cgroup);
    return spawnInit({
      linux: this.#config.linux ?? {},
      namespaces: namespacesOf(this.#config),
      cgroup,
      keepFds: this.#handed.count,
      ignoredSignals: this.#caller.ignoredSignals,
      privileged: this.#caller.privileged,
    });
  }

  /** What only the runtime can do for init, before init does anything itself. */
  #adopt(init: Init): void {
    this.#init = init;
    this.#raiseLimits(init.pid);
    const { oomScoreAdj } = this.#process;
    if (oomScoreAdj === undefined) return;
    const path = `/proc/${init.pid}/oom_score_adj`;
    onBehalfOf("/process/oomScoreAdj", "set oom_score_adj", () => writeFileSync(path, String(oomScoreAdj)));
  }

  #credentials(hasSeccomp: boolean) {
    const ALL = (1n << 64n) - 1n;
    const ownUsers = hasOwn(namespacesOf(this.#config), "user");
    return {
      lastCapability: this.#caller.lastCapability,
      permitted: ownUsers ? ALL : this.#caller.permitted,
      keepSysAdmin: hasSeccomp && this.#process.noNewPrivileges !== true,
      canSetGroups: this.#caller.canSetGroups,
      warn: (message: string) => this.#context.log.warn(message),
    };
  }

  /**
   * Hard limits can be raised only from here, with the caller's rights, and only while init still has the caller's user
   * (prlimit(2)); the rest is set by init itself.
   */
  #raiseLimits(pid: number): void {
    (this.#process.rlimits ?? []).forEach(({ type, hard }, index) => {
      onBehalfOf(`/process/rlimits/${index}`, `raise ${type}`, () => {
        const current = prlimit(pid, type);
        if (hard > current.hard) prlimit(pid, type, { soft: current.soft, hard });
      });
    });
  }

  /** Steps 3 and 4 of the lifecycle. If one of the hooks fails it goes on at step 12, of which step 13 is the rest. */
  async #loadHooks(): Promise<((state: SavedState) => void) | undefined> {
    const { prestart = [], createRuntime = [], poststop = [] } = this.#config.hooks ?? {};
    if (prestart.length + createRuntime.length === 0) return undefined;
    const { hookState, runHooks, runHooksToTheEnd } = await import("./hooks.ts");
    return (state) => {
      const input = hookState(state, "created");
      this.#runPoststop = () => {
        const warn = (message: string) => this.#context.log.warn(message);
        runHooksToTheEnd("poststop", poststop, hookState(state, "stopped"), state.bundle, warn);
      };
      runHooks("prestart", prestart, input, state.bundle);
      runHooks("createRuntime", createRuntime, input, state.bundle);
    };
  }

  /** Engines read the file as soon as it is there: it appears with its content. A decimal number without a newline. */
  #writePidFile(pid: number): void {
    const { pidFile } = this.#options;
    if (pidFile === undefined) return;
    const temporary = `${pidFile}.runts-${process.pid}`;
    writeFileSync(temporary, String(pid), { mode: 0o644 });
    renameSync(temporary, pidFile);
  }

  /** Leaves the host as if nothing had been tried (runtime.md, Errors). */
  undo(): void {
    const steps = [
      // Init ends by itself when its channel does, should it not be known yet.
      () => this.#pending?.channel.close(),
      () => this.#init !== undefined && killChild(this.#init.pid),
      () => this.#cgroup !== undefined && killCgroup(this.#cgroup.directory),
      () => this.#cgroup !== undefined && removeCgroup(this.#cgroup.directory),
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
