import type { ContainerScope } from "../cgroup/systemd-scope.ts";
import type { SetUpOptions } from "../init/set-up.ts";
import { mountsForCaller } from "../plan/enter-rootfs.ts";
import { hasOwn, namespacesOf } from "../plan/init-plan.ts";
import type { SeccompFilter } from "../plan/process-setup.ts";
import type { ContainerGroups } from "../resctrl/group.ts";
import { isBind } from "../spec/bind-mount.ts";
import { wantsIdMap } from "../spec/id-mapped-mount.ts";
import type { Config, Linux, Process } from "../spec/types.ts";
import { type Caller, managerOf } from "./caller.ts";
import { type CreateHooks, loadCreateHooks } from "./create-hooks.ts";
import { loadDelegation } from "./delegation.ts";
import type { SavedHostMount } from "./host-mount.ts";
import type { NetDevices } from "./net-devices.ts";
import type { Context } from "./options.ts";
import { compileFilter } from "./seccomp-filter.ts";
import { type TaskAttributes, taskAttributes } from "./task-attributes.ts";

/** What a config may ask for and most don't: the code of each is loaded only for those that do. */
export interface CreateParts {
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
export async function loadParts(
  context: Context,
  id: string,
  config: Config,
  process: Process,
  {
    caller,
    rootless,
    rootfs,
  }: { readonly caller: Caller; readonly rootless: boolean; readonly rootfs: string },
): Promise<CreateParts> {
  const { linux = {}, hooks = {}, mounts = [] } = config;
  await checkSysctls(config);
  const namespaces = namespacesOf(config);
  const ownUserNamespace = hasOwn(namespaces, "user");
  return {
    seccomp: await compileFilter(context, config, caller),
    attributes: await taskAttributes(process, linux, caller, ownUserNamespace),
    hooks: await loadCreateHooks(hooks, (message) => context.log.warn(message)),
    idMappedMounts: mounts.some(wantsIdMap)
      ? (await import("../init/id-mapped-mounts.ts")).prepareIdMappedMounts
      : undefined,
    callersSources:
      // The runtime may see other sources than a joined mount namespace has.
      ownUserNamespace && caller.privileged && namespaces.created.has("mount") && mounts.some(isBind)
        ? (await import("../init/callers-sources.ts")).openCallersSources
        : undefined,
    deviceNodes: ownUserNamespace ? await loadDeviceNodes(config, caller) : undefined,
    netDevices: await loadNetDevices(linux.netDevices ?? {}, rootless),
    resctrl: await loadResctrl(linux.intelRdt, id),
    hostMount: mountsForCaller(config, namespaces) ? await loadHostMount(rootfs) : undefined,
    delegate: await loadDelegation(config, process, rootless),
    // Last: it is a connection, which nobody would close if another part could not be loaded.
    scope: context.systemdCgroup === true ? await loadScope(config, id, caller) : undefined,
  };
}

/** Only root of the host's first user namespace may make devices: for any other caller, init binds the host's nodes. */
async function loadDeviceNodes(
  { linux }: Config,
  { privileged, inUserNamespace }: Caller,
): Promise<SetUpOptions["deviceNodes"]> {
  const isNeeded = (linux?.devices ?? []).some(({ type }) => type !== "p");
  if (!isNeeded || !privileged || inUserNamespace) return undefined;
  return (await import("../init/device-nodes.ts")).prepareDeviceNodes;
}

async function checkSysctls(config: Config): Promise<void> {
  const { sysctl = {} } = config.linux ?? {};
  if (Object.keys(sysctl).length === 0 || namespacesOf(config).joined.size === 0) return;
  const { checkSysctlNamespaces } = await import("./sysctl-namespaces.ts");
  checkSysctlNamespaces(config);
}

interface HostMount {
  readonly saved: SavedHostMount;
  readonly remove: () => void;
}

async function loadHostMount(rootfs: string): Promise<HostMount> {
  const { hostMountAt, removeHostMount } = await import("./host-mount.ts");
  const saved = hostMountAt(rootfs);
  return { saved, remove: () => removeHostMount(saved) };
}

async function loadScope(config: Config, id: string, caller: Caller): Promise<ContainerScope> {
  const { ContainerScope } = await import("../cgroup/systemd-scope.ts");
  return new ContainerScope(config, id, managerOf(caller));
}

async function loadNetDevices(
  devices: NonNullable<Linux["netDevices"]>,
  rootless: boolean,
): Promise<NetDevices | undefined> {
  if (Object.keys(devices).length === 0) return undefined;
  const { NetDevices } = await import("./net-devices.ts");
  return new NetDevices(devices, rootless);
}

async function loadResctrl(rdt: Linux["intelRdt"], id: string): Promise<ContainerGroups | undefined> {
  if (rdt === undefined) return undefined;
  const { ContainerGroups } = await import("../resctrl/group.ts");
  const { findResctrl } = await import("../resctrl/mount.ts");
  return new ContainerGroups(findResctrl(), id, rdt);
}
