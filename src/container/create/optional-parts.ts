import { statSync } from "../../../bindings/linux/file-status.ts";
import { delegateCgroup, isDelegated } from "../../cgroup/ownership.ts";
import { ContainerScope } from "../../cgroup/systemd/scope.ts";
import { RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { hasNamespace, type Namespaces, namespacesOf } from "../../plan/init-plan.ts";
import { mountsForCaller } from "../../plan/pivot-root.ts";
import type { SeccompFilter } from "../../plan/process/exec.ts";
import type { LandlockDomain } from "../../plan/process/landlock.ts";
import { ContainerGroups } from "../../resctrl/group.ts";
import { findResctrl } from "../../resctrl/mount.ts";
import { type AllowedAnnotations, DELEGATE_CGROUP } from "../../spec/annotations.ts";
import { isBind } from "../../spec/bind-mount.ts";
import { wantsIdMap } from "../../spec/id-mapped-mount.ts";
import { pointerToken } from "../../spec/json/scanner.ts";
import { LANDLOCK_ANNOTATION } from "../../spec/landlock.ts";
import { namespaceFile } from "../../spec/namespaces.ts";
import { sysctlNamespace } from "../../spec/rules/sysctl.ts";
import type { Config, Linux, Process } from "../../spec/types.ts";
import { type Caller, managerOf } from "../caller/caller.ts";
import type { GlobalOptions } from "../context.ts";
import { type CreateHooks, createHooks } from "../hooks/create-hooks.ts";
import { type TaskAttributes, taskAttributes } from "../process/attributes.ts";
import { landlockDomain } from "../process/landlock.ts";
import type { SavedHostMount } from "../record/saved-state.ts";
import { compileFilter } from "../seccomp/filter.ts";
import { hostMountAt, removeHostMount } from "./host-mount.ts";
import { NetDevices } from "./net-devices.ts";

/** Features that a config may ask for, and most don't. */
export interface OptionalFeatures {
  readonly seccomp: SeccompFilter | undefined;
  readonly attributes: TaskAttributes | undefined;
  /** Of the annotation run.runts.landlock, as far as the kernel supports it. */
  readonly landlock: LandlockDomain | undefined;
  readonly hooks: CreateHooks | undefined;
  readonly hasIdMappedMounts: boolean;
  /** Whether bind mounts may have sources that only the caller's capabilities reach. */
  readonly opensCallersSources: boolean;
  /** Whether the runtime makes the devices, which init may not make. */
  readonly makesDeviceNodes: boolean;
  readonly netDevices: NetDevices | undefined;
  readonly resctrl: ContainerGroups | undefined;
  readonly hostMount: HostMount | undefined;
  /** The cgroup, where systemd makes it. */
  readonly scope: ContainerScope | undefined;
  /** Path of a cgroup below the container's, which init is moved to and owns. */
  readonly delegatedCgroup: string | undefined;
  readonly delegate: ((directory: string, pid: number) => void) | undefined;
}

/**
 * Prepares the features that the config asks for. Throws if the caller or the host lacks what they need. Makes nothing that has to be
 * removed, except a connection to systemd; a compiled filter may go to the cache.
 */
export function prepareOptionalFeatures(
  context: GlobalOptions,
  id: string,
  config: Config,
  process: Process,
  {
    caller,
    rootless,
    rootfs,
    allowed,
  }: {
    readonly caller: Caller;
    readonly rootless: boolean;
    readonly rootfs: string;
    readonly allowed: AllowedAnnotations;
  },
): OptionalFeatures {
  const { linux = {}, mounts = [] } = config;
  const { intelRdt } = linux;
  const namespaces = namespacesOf(config);
  checkSysctlNamespaces(linux, namespaces);
  const ownUserNamespace = hasNamespace(namespaces, "user");
  return {
    seccomp: compileFilter(context, config, caller, { allowed, isNew: true }),
    attributes: taskAttributes(process, linux, caller, ownUserNamespace),
    // A container without a process can't be started. Each exec has a process of its own, and gets the rules.
    landlock:
      config.process === undefined || config.annotations?.[LANDLOCK_ANNOTATION] === undefined
        ? undefined
        : landlockDomain(config, process, (message) => context.log.warn(message)),
    hooks: createHooks(config, allowed, (message) => context.log.warn(message)),
    hasIdMappedMounts: mounts.some(wantsIdMap),
    // Not for a joined mount namespace: the runtime may see other sources than it has.
    opensCallersSources:
      ownUserNamespace && caller.privileged && namespaces.created.has("mount") && mounts.some(isBind),
    makesDeviceNodes: ownUserNamespace && makesDeviceNodes(config, caller),
    netDevices: netDevicesOf(linux, rootless),
    resctrl: intelRdt === undefined ? undefined : new ContainerGroups(findResctrl(), id, intelRdt),
    hostMount: mountsForCaller(config, namespaces) ? hostMountOf(rootfs) : undefined,
    delegatedCgroup: config.annotations?.[DELEGATE_CGROUP] || undefined,
    delegate: delegationTo(config, namespaces, process, rootless),
    // Last: it is a connection, which nobody would close if another part failed.
    scope: context.systemdCgroup === true ? new ContainerScope(config, id, managerOf(caller)) : undefined,
  };
}

/** Only root of the host's first user namespace may make devices: for any other caller, init binds the host's nodes. */
function makesDeviceNodes({ linux }: Config, { privileged, inUserNamespace }: Caller): boolean {
  const isNeeded = (linux?.devices ?? []).some(({ type }) => type !== "p");
  return isNeeded && privileged && !inUserNamespace;
}

interface HostMount {
  readonly saved: SavedHostMount;
  readonly remove: () => void;
}

function hostMountOf(rootfs: string): HostMount {
  const saved = hostMountAt(rootfs);
  return { saved, remove: () => removeHostMount(saved) };
}

function netDevicesOf({ netDevices = {} }: Linux, rootless: boolean): NetDevices | undefined {
  return Object.keys(netDevices).length === 0 ? undefined : new NetDevices(netDevices, rootless);
}

/**
 * config-linux.md, Cgroup ownership: only a cgroup that the container sees as a root, and writable, is given to its user. The
 * function takes the cgroup's directory and init's pid.
 */
function delegationTo(
  config: Config,
  namespaces: Namespaces,
  process: Process,
  rootless: boolean,
): OptionalFeatures["delegate"] {
  const uid = process.user?.uid ?? 0;
  const ownUserNamespace = hasNamespace(namespaces, "user");
  if (!namespaces.created.has("cgroup") || (uid === 0 && !ownUserNamespace)) return undefined;
  if (!isDelegated(config)) return undefined;
  return (directory, pid) => delegateCgroup(directory, { pid, uid, ownUserNamespace }, rootless);
}

/** A namespace joined by path may be the runtime's own: its parameters are the host's (config-linux.md, Sysctl). */
function checkSysctlNamespaces({ sysctl = {} }: Linux, { joined }: Namespaces): void {
  for (const key of Object.keys(sysctl)) {
    const type = sysctlNamespace(key);
    const namespace = type === undefined ? undefined : joined.get(type);
    if (type === undefined || namespace === undefined) continue;
    const { path, pointer: at } = namespace;
    const wanted = onBehalfOf(at, `look at the ${type} namespace`, () => statSync(path));
    const own = statSync(`/proc/self/ns/${namespaceFile(type)}`);
    if (wanted.ino !== own.ino || wanted.dev !== own.dev) continue;
    const pointer = `/linux/sysctl/${pointerToken(key)}`;
    const message = `${pointer}: the ${type} namespace is the host's, setting it would change the host`;
    throw new RuntsError(message, { operation: "create", path, pointer });
  }
}
