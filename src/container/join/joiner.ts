import { CAP_SYS_NICE } from "../../../bindings/abi/capability.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../../bindings/abi/fcntl.ts";
import { CLONE_NEWUSER } from "../../../bindings/abi/sched.ts";
import { openSync } from "../../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import type { Program } from "../../../bindings/stub/program.ts";
import { attachToScope } from "../../cgroup/systemd/scope.ts";
import { allowsSetgroups } from "../../init/id-mappings.ts";
import type { Joined } from "../../init/network-of.ts";
import { sendExec } from "../../init/prepare-process.ts";
import { Session } from "../../init/session.ts";
import { type ExecPlanOptions, planExec } from "../../init/set-up-exec.ts";
import type { PendingProcess } from "../../init/spawn-process.ts";
import { hasNamespace, namespacesOf } from "../../plan/init-plan.ts";
import { joinSessionKeyring, type RootIds, rootIds } from "../../plan/namespaces.ts";
import { type CredentialOptions, narrowCapabilities } from "../../plan/process/credentials.ts";
import type { DescriptorRange, SeccompFilter, WaitFifo } from "../../plan/process/exec.ts";
import type { LandlockDomain } from "../../plan/process/landlock.ts";
import { joinGroups } from "../../resctrl/group.ts";
import { LANDLOCK_ANNOTATION } from "../../spec/landlock.ts";
import type { Config, Process } from "../../spec/types.ts";
import { type Caller, inheritedNofile } from "../caller/caller.ts";
import { applyHostLimits, credentialOptions } from "../caller/credentials.ts";
import { execLabels } from "../caller/lsm.ts";
import type { GlobalOptions } from "../context.ts";
import { type TaskAttributes, taskAttributes } from "../process/attributes.ts";
import { landlockDomain } from "../process/landlock.ts";
import type { SavedState } from "../record/saved-state.ts";
import { type AgentAddress, agentAddress, connectToAgent, type SeccompAgent } from "../seccomp/agent.ts";
import { compileFilter } from "../seccomp/filter.ts";
import { type JoinCgroup, type JoinCgroupOptions, openJoinCgroup } from "./cgroup.ts";
import { type JoinOptions, joinContainer, joinsUserNamespace } from "./join.ts";
import { checkSameUserNamespace, differingNamespaces } from "./namespaces.ts";

/** A request to join a container. */
export interface JoinRequest {
  readonly saved: SavedState;
  readonly config: Config;
  /** User, capabilities, labels, limits and so on: no process that joins gets more. */
  readonly process: Process;
  readonly caller: Caller;
  readonly warn: (message: string) => void;
}

/** A process of a request. */
interface ProcessOptions extends Pick<JoinOptions, "keepFds" | "stdio" | "hasTerminal" | "beforeClone"> {
  /** A pidfd of the container's init. */
  readonly pidfd: number;
  readonly cgroup: JoinCgroupOptions;
}

/** The set-up of a process that has joined. */
interface ProcessSetup
  extends Pick<ExecPlanOptions, "program" | "addedEnv" | "stdio" | "consoleSocket" | "chooseCpus"> {
  readonly process: Process;
  readonly keepFds: number;
  readonly gaps: readonly DescriptorRange[];
  /** The fifo whose reader the process waits for before its execve; absent for none. */
  readonly fifo?: WaitFifo<number> | undefined;
}

/** Makes processes of a container with the rights that its config gives them: those of `exec`, and startContainer hooks. */
export class ContainerJoiner {
  readonly request: JoinRequest;
  readonly #ownMountNamespace: boolean;
  readonly #userNamespaceRoot: RootIds | undefined;
  /** CLONE_NEW* of the namespaces to join. */
  readonly #flags: number;
  readonly #seccomp: SeccompFilter | undefined;
  readonly #attributes: TaskAttributes | undefined;
  readonly #landlock: LandlockDomain | undefined;
  readonly #credentials: CredentialOptions;
  /** Connected for the next process whose filter has a listener. */
  #agent: SeccompAgent | undefined;
  #attach: JoinCgroup["attach"];
  #cgroupDirectory: string | undefined;
  /** Closed in the end, whether a process got as far as to take it or not. */
  readonly #open: { close(): void }[] = [];

  /** Prepares and checks all that joining takes; no process is made yet. */
  constructor(context: GlobalOptions, request: JoinRequest) {
    const { saved, config, process, caller, warn } = request;
    const namespaces = namespacesOf(config);
    const ownUserNamespace = hasNamespace(namespaces, "user");
    this.request = request;
    this.#ownMountNamespace = hasNamespace(namespaces, "mount");
    this.#userNamespaceRoot = ownUserNamespace ? rootIds(config.linux ?? {}) : undefined;
    this.#seccomp = compileFilter(context, config, caller, {
      allowed: saved.allowedAnnotations,
      isNew: false,
    });
    this.#attributes = taskAttributes(process, config.linux ?? {}, caller, ownUserNamespace);
    if (config.annotations?.[LANDLOCK_ANNOTATION] !== undefined)
      this.#landlock = landlockDomain(config, process, warn);
    this.#flags = differingNamespaces(saved.pid);
    const container = {
      ownUserNamespace,
      hasSeccomp: this.#seccomp !== undefined,
      canSetGroups: ownUserNamespace ? allowsSetgroups(saved.pid) : caller.canSetGroups,
      annotations: config.annotations,
    };
    this.#credentials = credentialOptions(caller, process, container, warn);
  }

  /** The container, as far as the runtime may join its namespaces itself. */
  joined(pidfd: number): Joined {
    return { pidfd, flags: this.request.caller.privileged ? this.#flags : 0 };
  }

  /** Whether the filter has a listener, which a process makes when it loads the filter. */
  get hasListener(): boolean {
    return this.#seccomp?.listener !== undefined;
  }

  /** Directory of the cgroup that the last process joins, for errors. undefined if it has none, or not yet. */
  get cgroupDirectory(): string | undefined {
    return this.#cgroupDirectory;
  }

  /** Spawns a process in the container's cgroup and namespaces. It has given up already what it will not have. */
  join({ pidfd, cgroup: wanted, ...options }: ProcessOptions): PendingProcess {
    const { saved, process, caller } = this.request;
    const flags = this.#flags;
    // Each process that loads the filter makes a listener, and each listener needs a connection: config-linux.md, Seccomp.
    if (this.#seccomp?.listener !== undefined)
      this.#agent ??= this.#hold(connectToAgent(this.#agentAddress()));
    const attachBySystemd = joinsUserNamespace(caller.privileged, flags)
      ? undefined
      : systemdAttaching(saved, wanted);
    const cgroup =
      attachBySystemd === undefined
        ? this.#hold(openJoinCgroup(saved, wanted, joinsUserNamespace(caller.privileged, flags)))
        : undefined;
    this.#attach = attachBySystemd ?? cgroup?.attach;
    this.#cgroupDirectory = cgroup?.directory;
    return joinContainer(
      { pidfd, flags, cgroup },
      {
        ...options,
        execLabels: execLabels(process, saved.keyring !== undefined),
        afterJoin: (program) => this.#limitBeforeClone(program),
        ignoredSignals: caller.ignoredSignals,
        privileged: caller.privileged,
        oomScoreAdj: caller.privileged ? undefined : process.oomScoreAdj,
      },
    );
  }

  #agentAddress(): AgentAddress | undefined {
    const { config, saved } = this.request;
    return agentAddress(config.linux?.seccomp, saved.allowedAnnotations);
  }

  /** Planned for the stub, whose clone inherits it: the container never sees a process with more than this. */
  #limitBeforeClone(program: Program): void {
    const { saved, process, caller } = this.request;
    if (!this.#ownMountNamespace) enterRoot(program, this.#hold(openRootOf(saved.pid)).number);
    if (saved.keyring !== undefined) joinSessionKeyring(program, saved.keyring);
    // Only a process that joins the user namespace has all of its capabilities.
    const permitted = (this.#flags & CLONE_NEWUSER) === 0 ? caller.permitted : this.#credentials.permitted;
    const further = this.#attributes === undefined ? [] : [CAP_SYS_NICE];
    narrowCapabilities(program, process, { ...this.#credentials, permitted }, further);
  }

  /** Leads a process to its execve: plans its programs and sends them. The last one, which ends in the execve, is not awaited. */
  setUp(
    pending: PendingProcess,
    { keepFds, gaps, fifo, ...setup }: ProcessSetup,
  ): { readonly pid: number; readonly last: Program } {
    const options = {
      ...setup,
      credentials: this.#credentials,
      staysDumpable: false,
      attributes: this.#attributes,
      landlock: this.#landlock,
      start: { keepFds, gaps, inheritedNofile: inheritedNofile(), seccomp: this.#seccomp },
      userNamespaceRoot: this.#userNamespaceRoot,
    };
    const session = new Session(pending);
    // While the stub clones itself.
    const planned = planExec(session, options);
    const pid = session.awaitProcess();
    this.#applyFromOutside(pid);
    session.send();
    return { pid, last: sendExec(session, planned, options, undefined, fifo) };
  }

  /** Gives the process, which has done nothing yet, what only the runtime can give it. */
  #applyFromOutside(pid: number): void {
    const { saved, process, caller } = this.request;
    if ((this.#flags & CLONE_NEWUSER) === 0) checkSameUserNamespace(saved.pid);
    this.#attach?.(pid);
    applyHostLimits(pid, process, caller);
    if (saved.resctrl !== undefined) joinGroups(saved.resctrl, pid);
  }

  /** Hands the listener of the process's seccomp filter, if it has one, to the agent. Called once the last program is sent. */
  handOverListener(pid: number, connection: number, status: "created" | "running"): void {
    const agent = this.#agent;
    this.#agent = undefined;
    agent?.handOver({ pid, connection, saved: this.request.saved, status });
  }

  #hold<T extends { close(): void }>(opened: T): T {
    this.#open.push(opened);
    return opened;
  }

  /** Closes all that was opened for processes so far, the connection to the agent included. */
  close(): void {
    for (const opened of this.#open.splice(0)) opened.close();
  }
}

/** A user may not move processes between cgroups that others own: the user's systemd can (cgroups(7), Delegation). */
function systemdAttaching(
  { scope }: SavedState,
  { subCgroup }: JoinCgroupOptions,
): ((pid: number) => void) | undefined {
  if (subCgroup !== undefined || scope?.manager !== "user") return undefined;
  return (pid) => attachToScope(scope, pid);
}

/**
 * Changes the root directory, if no mount namespace brings the process to the container's root. Done before the clone, as all that is
 * done for the clone: nothing of the host is in what the container can see of it.
 */
function enterRoot(program: Program, containerRoot: number): void {
  program.about("/root/path", "change the root directory");
  program.do("fchdir", [program.descriptor(containerRoot)], { path: "the container's root" });
  program.do("chroot", ["."]);
}

/** procfs' magic link is the directory itself, whatever the container does to paths. */
function openRootOf(pid: number): OwnedDescriptor {
  return new OwnedDescriptor(openSync(`/proc/${pid}/root`, O_PATH | O_DIRECTORY | O_CLOEXEC));
}
