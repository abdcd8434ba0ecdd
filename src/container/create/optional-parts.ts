import { ContainerScope } from "../../cgroup/systemd/scope.ts";
import { openCallersSources } from "../../init/callers-sources.ts";
import { prepareDeviceNodes } from "../../init/device-nodes.ts";
import { prepareIdMappedMounts } from "../../init/id-mapped-mounts.ts";
import type { SetUpOptions } from "../../init/set-up.ts";
import { hasNamespace, namespacesOf } from "../../plan/init-plan.ts";
import { mountsForCaller } from "../../plan/pivot-root.ts";
import type { SeccompFilter } from "../../plan/process/exec.ts";
import { ContainerGroups } from "../../resctrl/group.ts";
import { findResctrl } from "../../resctrl/mount.ts";
import { isBind } from "../../spec/bind-mount.ts";
import { wantsIdMap } from "../../spec/id-mapped-mount.ts";
import type { Config, Linux, Process } from "../../spec/types.ts";
import { type Caller, managerOf } from "../caller/caller.ts";
import type { GlobalOptions } from "../context.ts";
import { type CreateHooks, createHooks } from "../hooks/create-hooks.ts";
import { type TaskAttributes, taskAttributes } from "../process/attributes.ts";
import type { SavedHostMount } from "../record/saved-state.ts";
import { compileFilter } from "../seccomp/filter.ts";
import { delegationTo } from "./delegation.ts";
import { hostMountAt, removeHostMount } from "./host-mount.ts";
import { NetDevices } from "./net-devices.ts";
import { checkSysctlNamespaces } from "./sysctl-namespaces.ts";

/** What a config may ask for and most don't. */
export interface OptionalFeatures {
  readonly seccomp: SeccompFilter | undefined;
  readonly attributes: TaskAttributes | undefined;
  readonly hooks: CreateHooks | undefined;
  readonly idMappedMounts: SetUpOptions["idMappedMounts"];
  readonly callersSources: SetUpOptions["callersSources"];
  readonly deviceNodes: SetUpOptions["deviceNodes"];
  readonly netDevices: NetDevices | undefined;
  readonly resctrl: ContainerGroups | undefined;
  readonly hostMount: HostMount | undefined;
  /** The cgroup, where systemd makes it. */
  readonly scope: ContainerScope | undefined;
  readonly delegate: ((directory: string, pid: number) => void) | undefined;
}

/** Makes nothing yet; errors where the caller or the host can't give what is asked for. */
export function prepareOptionalFeatures(
  context: GlobalOptions,
  id: string,
  config: Config,
  process: Process,
  {
    caller,
    rootless,
    rootfs,
  }: { readonly caller: Caller; readonly rootless: boolean; readonly rootfs: string },
): OptionalFeatures {
  const { linux = {}, hooks = {}, mounts = [] } = config;
  const { intelRdt } = linux;
  checkSysctlNamespaces(config);
  const namespaces = namespacesOf(config);
  const ownUserNamespace = hasNamespace(namespaces, "user");
  return {
    seccomp: compileFilter(context, config, caller),
    attributes: taskAttributes(process, linux, caller, ownUserNamespace),
    hooks: createHooks(hooks, (message) => context.log.warn(message)),
    idMappedMounts: mounts.some(wantsIdMap) ? prepareIdMappedMounts : undefined,
    callersSources:
      // The runtime may see other sources than a joined mount namespace has.
      ownUserNamespace && caller.privileged && namespaces.created.has("mount") && mounts.some(isBind)
        ? openCallersSources
        : undefined,
    deviceNodes: ownUserNamespace && makesDeviceNodes(config, caller) ? prepareDeviceNodes : undefined,
    netDevices: netDevicesOf(linux, rootless),
    resctrl: intelRdt === undefined ? undefined : new ContainerGroups(findResctrl(), id, intelRdt),
    hostMount: mountsForCaller(config, namespaces) ? hostMountOf(rootfs) : undefined,
    delegate: delegationTo(config, process, rootless),
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
