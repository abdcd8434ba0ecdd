import { CAP_SYS_NICE } from "../../../bindings/abi/capability.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../../bindings/abi/fcntl.ts";
import { CLONE_NEWUSER } from "../../../bindings/abi/sched.ts";
import { openSync } from "../../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import type { Program } from "../../../bindings/stub/program.ts";
import { attachToScope } from "../../cgroup/systemd/scope.ts";
import type { SpawnOptions } from "../../init/clone-by-stub.ts";
import { allowsSetgroups } from "../../init/id-mappings.ts";
import type { Joined } from "../../init/network-of.ts";
import { type ExecSetUpOptions, setUpExec } from "../../init/set-up-exec.ts";
import { type PendingInit, spawnInit } from "../../init/spawn-init.ts";
import { hasNamespace, type Namespaces, namespacesOf } from "../../plan/init-plan.ts";
import { joinSessionKeyring } from "../../plan/namespaces.ts";
import { type CredentialOptions, narrowCapabilities } from "../../plan/process/credentials.ts";
import type { DescriptorRange, SeccompFilter } from "../../plan/process/exec.ts";
import { joinGroups } from "../../resctrl/group.ts";
import type { Config, Process } from "../../spec/types.ts";
import { type Caller, inheritedNofile } from "../caller/caller.ts";
import { applyHostLimits, credentialOptions } from "../caller/credentials.ts";
import { execLabels } from "../caller/lsm.ts";
import type { GlobalOptions } from "../context.ts";
import { type TaskAttributes, taskAttributes } from "../process/attributes.ts";
import type { SavedState } from "../record/saved-state.ts";
import { connectToAgent, type SeccompAgent } from "../seccomp/agent.ts";
import { compileFilter } from "../seccomp/filter.ts";
import { type CgroupEntry, type EntryOptions, openJoinCgroup } from "./cgroup.ts";
import { checkSameUserNamespace, differingNamespaces } from "./namespaces.ts";

/** Who enters which container. */
interface JoinRequest {
  readonly saved: SavedState;
  readonly config: Config;
  /** Its user, capabilities, labels, limits and so on are those that are given; no process gets more. */
  readonly process: Process;
  readonly caller: Caller;
  readonly cgroup: EntryOptions;
  readonly warn: (message: string) => void;
}

/** What differs between the processes that enter. */
interface ProcessSetup
  extends Pick<ExecSetUpOptions, "program" | "addedEnv" | "stdio" | "consoleSocket" | "chooseCpus"> {
  readonly process: Process;
  readonly keepFds: number;
  readonly gaps: readonly DescriptorRange[];
  readonly spawned: (pid: number) => void;
}

/** The way of further processes into a container, with the rights that its config gives a process. */
export interface ContainerJoiner {
  /** Connects to the agent that shall get the seccomp listener of the next process; undefined if the filter has none. */
  readonly connectAgent: () => SeccompAgent | undefined;
  /** A process in the container's namespaces and cgroup, which has given up already what the process will not have. */
  readonly spawn: (options: {
    readonly pidfd: number;
    /** Whether it goes to the container's own cgroup, wherever init is. */
    readonly ownCgroup?: boolean;
    readonly keepFds: number;
    readonly stdio: SpawnOptions["stdio"];
    readonly hasTerminal?: boolean;
    readonly beforeClone: SpawnOptions["beforeClone"];
  }) => PendingInit;
  /** The container, as far as the runtime may join its namespaces itself. */
  readonly joined: (pidfd: number) => Joined;
  /** Directory of the cgroup that it enters, once there is one, as a person names it. */
  readonly cgroup: () => string | undefined;
  /** Leads it to its execve; returns the program that ends in it. */
  readonly setUp: (pending: PendingInit, visitor: ProcessSetup) => Program;
  /** Lets go of all that the processes so far have taken, the agent included. */
  readonly close: () => void;
}

/** What every process that enters gets, and how it gets in. */
interface JoinContext {
  readonly seccomp: SeccompFilter | undefined;
  readonly connectTo: (() => SeccompAgent) | undefined;
  readonly attributes: TaskAttributes | undefined;
  readonly credentials: CredentialOptions;
  /** CLONE_NEW* of the namespaces to join. */
  readonly flags: number;
  readonly attachToScope: CgroupEntry["attach"];
}

function admissionTo(
  context: GlobalOptions,
  { saved, config, process, caller, cgroup, warn }: JoinRequest,
): JoinContext {
  const ownUserNamespace = hasNamespace(namespacesOf(config), "user");
  const seccomp = compileFilter(context, config, caller);
  const connectTo = seccomp?.listener === undefined ? undefined : () => connectToAgent(config.linux?.seccomp);
  const attributes = taskAttributes(process, config.linux ?? {}, caller, ownUserNamespace);
  const flags = differingNamespaces(saved.pid);
  const attachToScope = joinsUserNamespace(caller, flags)
    ? undefined
    : attachBySystemd(saved, cgroup.subCgroup);
  const container = {
    ownUserNamespace,
    hasSeccomp: seccomp !== undefined,
    canSetGroups: ownUserNamespace ? allowsSetgroups(saved.pid) : caller.canSetGroups,
    annotations: config.annotations,
  };
  const credentials = credentialOptions(caller, process, container, warn);
  return { seccomp, connectTo, attributes, credentials, flags, attachToScope };
}

function joinsUserNamespace({ privileged }: Caller, flags: number): boolean {
  return privileged && (flags & CLONE_NEWUSER) !== 0;
}

/** Makes ready and checks all that entering takes; no process is made yet. */
export function openJoiner(context: GlobalOptions, visit: JoinRequest): ContainerJoiner {
  const { saved, config, process, caller } = visit;
  const admission = admissionTo(context, visit);
  const { seccomp, attributes, credentials, flags, attachToScope } = admission;
  const namespaces = namespacesOf(config);
  let entry: Omit<CgroupEntry, "close"> = {
    directory: undefined,
    descriptor: undefined,
    attach: attachToScope,
  };
  const held = new Held();
  return {
    connectAgent: () => held.hold(admission.connectTo?.()),
    spawn: ({ ownCgroup = false, ...options }) => {
      if (attachToScope === undefined) {
        const wish = { ...visit.cgroup, ownCgroup };
        entry = held.hold(openJoinCgroup(saved, wish, joinsUserNamespace(caller, flags)));
      }
      return spawnInit({
        ...options,
        linux: {},
        execLabels: execLabels(process, saved.keyring !== undefined),
        namespaces: NO_NAMESPACES,
        join: { pidfd: options.pidfd, flags },
        afterJoin: (program) => {
          if (!hasNamespace(namespaces, "mount")) enterRoot(program, held.hold(openRootOf(saved.pid)).number);
          joinSessionKeyring(program, saved.keyring);
          // Only a process that enters the user namespace has all of its capabilities.
          const permitted = (flags & CLONE_NEWUSER) === 0 ? caller.permitted : credentials.permitted;
          const further = attributes === undefined ? [] : [CAP_SYS_NICE];
          narrowCapabilities(program, process, { ...credentials, permitted }, further);
        },
        cgroup: entry.descriptor,
        ignoredSignals: caller.ignoredSignals,
        privileged: caller.privileged,
        oomScoreAdj: caller.privileged ? undefined : process.oomScoreAdj,
      });
    },
    joined: (pidfd) => ({ pidfd, flags: caller.privileged ? flags : 0 }),
    cgroup: () => entry.directory,
    setUp: (pending, { keepFds, gaps, spawned, ...visitor }) =>
      setUpExec(pending, {
        ...visitor,
        credentials,
        staysDumpable: false,
        attributes,
        start: { keepFds, gaps, inheritedNofile: inheritedNofile(), seccomp },
        inUserNamespace: hasNamespace(namespaces, "user"),
        spawned: ({ pid }) => {
          spawned(pid);
          if ((flags & CLONE_NEWUSER) === 0) checkSameUserNamespace(saved.pid);
          entry.attach?.(pid);
          applyHostLimits(pid, process, caller);
          if (saved.resctrl !== undefined) joinGroups(saved.resctrl, pid);
        },
      }),
    close: () => held.close(),
  };
}

/** What is open for processes that enter, whether they get as far as to take it or not. */
class Held {
  readonly #open: { close(): void }[] = [];

  hold<T extends { close(): void } | undefined>(what: T): T {
    if (what !== undefined) this.#open.push(what);
    return what;
  }

  close(): void {
    for (const one of this.#open.splice(0)) one.close();
  }
}

const NO_NAMESPACES: Namespaces = { created: new Set(), joined: new Map() };

/** A user may not move processes between cgroups that others own: the user's systemd can (cgroups(7), Delegation). */
function attachBySystemd(
  { scope }: SavedState,
  subCgroup: string | undefined,
): ((pid: number) => void) | undefined {
  if (subCgroup !== undefined || scope?.manager !== "user") return undefined;
  return (pid) => attachToScope(scope, pid);
}

/**
 * Where no mount namespace brings the process to the container's root. Before the clone, as all that it does for the clone: what the
 * container can see of that has nothing of the host.
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
