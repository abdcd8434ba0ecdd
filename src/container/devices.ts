import { O_CLOEXEC, O_PATH } from "../../bindings/abi/fcntl.ts";
import { detachedNodeMount } from "../../bindings/linux/detached-mount.ts";
import { fstatSync } from "../../bindings/linux/file-status.ts";
import { openSync } from "../../bindings/linux/files.ts";
import { mountIdOf, mountsOf } from "../../bindings/linux/mount-info.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import { accessTo, applyDeviceRules, hasDeviceRules } from "../cgroup/devices/rules.ts";
import { cgroupName } from "../cgroup/files.ts";
import { updateScope } from "../cgroup/systemd/scope.ts";
import { RuntsError, reworded } from "../errors.ts";
import { DeviceMaker, type NodeRights, type Place } from "../init/live-devices.ts";
import { onBehalfOf } from "../init/run-program.ts";
import { hasNamespace, namespacesOf } from "../plan/init-plan.ts";
import { configDevices } from "../plan/mounts/devices.ts";
import { cleanPath } from "../plan/rootfs-paths.ts";
import { readValidConfig } from "../spec/config.ts";
import type { Config, DeviceRule } from "../spec/types.ts";
import { inspectCaller, isRootless } from "./caller/caller.ts";
import type { GlobalOptions } from "./context.ts";
import { checkRunning, type MountNamespace, notRunning, withMountNamespace } from "./join/mount-namespace.ts";
import { NO_ACCESS, rulesWithAdded } from "./merge-resources.ts";
import { isAlive } from "./process/process-status.ts";
import { type LockedContainer, withLockedContainer } from "./record/lock.ts";
import { type SavedDevice, type SavedState, writeState } from "./record/saved-state.ts";

/** A device as the command line names it: `HOST[:CONTAINER][:rwm]`, docker's form. */
export interface DeviceWord {
  /** Path on the host. */
  readonly source: string;
  /** Clean absolute path in the container. */
  readonly path: string;
  /** Letters of "rwm", in this order. */
  readonly access: string;
}

/** Parses `HOST[:CONTAINER][:rwm]`. Throws EINVAL. */
export function parseDeviceWord(word: string): DeviceWord {
  const refuse = (message: string): never => {
    throw new RuntsError(`${word}: ${message}`, { operation: "devices", errno: "EINVAL", path: word });
  };
  const [source = "", ...rest] = word.split(":");
  const access = rest.length > 0 && !rest.at(-1)?.startsWith("/") ? (rest.pop() ?? "") : "rwm";
  const [destination = source, ...more] = rest;
  if (more.length > 0) refuse("must be PATH[:PATH][:rwm]");
  for (const path of [source, destination]) {
    if (!path.startsWith("/")) refuse(`${JSON.stringify(path)} must be an absolute path`);
  }
  if (!/^[rwm]+$/.test(access) || new Set(access).size !== access.length)
    refuse(`${JSON.stringify(access)} must be a path in the container, or some of the letters r, w and m`);
  const letters = [..."rwm"].filter((letter) => access.includes(letter)).join("");
  return { source, path: cleanPath(destination), access: letters };
}

/**
 * `devices add`: makes the node of a device in a container that runs, and allows its use. If one of the two fails, neither stays. The rule
 * is first, so that a process that sees the node can open it.
 */
export function addDevice(context: GlobalOptions, id: string, word: string): void {
  const wanted = parseDeviceWord(word);
  const host = openHostNode(wanted.source);
  try {
    withMountNamespace(context, id, "devices", (container) => {
      let added: SavedDevice | undefined;
      try {
        container.inside((channel, options) => {
          const maker = new DeviceMaker(channel, options);
          const place = maker.look({ ...host.device, path: wanted.path });
          const device = deviceToAdd(container.config, wanted, host, place);
          if (device.made === "node" && place.isNodev) throw isNodev("a mount of the container", wanted.path);
          if (device.made === "mount" && isOnNodev(host.node))
            throw isNodev("a mount of the host", wanted.source);
          withAdded(context, container, device);
          added = device;
          makeDevice(maker, device, host);
        });
      } catch (error) {
        if (added !== undefined) undo(context, container, added);
        throw error;
      }
    });
  } finally {
    host.node.close();
  }
}

/**
 * `devices remove`: takes the rule of an added device from a container that runs, then removes what `devices add` has made. A process that has
 * the device open keeps it. The container can't keep the rule by what it does to the node. A device whose node could not be removed stays in
 * the record without access, for the next `devices remove`.
 */
export function removeDevice(context: GlobalOptions, id: string, word: string): void {
  const { path } = parseDeviceWord(word);
  withMountNamespace(context, id, "devices", (container) => {
    const device = container.saved.devices?.find((entry) => entry.path === path);
    if (device === undefined) throw notAdded(container, path);
    changeDevices(context, container, (devices) =>
      devices.map((entry) => (entry.path === path ? { ...entry, access: NO_ACCESS } : entry)),
    );
    try {
      const left = unmake(container, device);
      if (left !== undefined)
        context.log.warn(`${path} stays in container ${id}, without the rule that allowed it: ${left}`);
      forget(context, container, path);
    } catch (error) {
      if (!(error instanceof RuntsError)) throw error;
      const hint = "its rule is gone: devices remove, once again, removes what is left";
      throw reworded(error, `${error.message}; ${hint}`);
    }
  });
}

/** Takes a device out of the record, which has no rule any more. */
function forget(context: GlobalOptions, { saved: { id, pid } }: MountNamespace, path: string): void {
  withLockedContainer(context, id, ({ directory, saved }) => {
    const { devices = [], ...rest } = saved;
    if (saved.pid !== pid) return;
    const others = devices.filter((entry) => entry.path !== path);
    writeState(directory, withDevices(rest, others));
  });
}

/** A device of a container. */
export interface DeviceEntry {
  readonly path: string;
  readonly type: "b" | "c";
  readonly major: number;
  readonly minor: number;
  /** What the container's device rules allow: letters of "rwm", or none. */
  readonly access: string;
  /** `default`: every container has it; `config`: config.json lists it; `added`: `devices add` has added it. */
  readonly origin: "default" | "config" | "added";
  /** The host's node that was added. */
  readonly source?: string;
}

/** `devices list`: returns the default devices, those of the config, and those that were added. */
export function listDevices(context: GlobalOptions, id: string): readonly DeviceEntry[] {
  return withLockedContainer(context, id, ({ directory, saved, status }) => {
    if (status === "stopped" || status === "creating") throw notRunning("devices", saved);
    return deviceEntries(readValidConfig(directory), saved.devices ?? []);
  });
}

export function deviceEntries(config: Config, added: readonly SavedDevice[]): DeviceEntry[] {
  const rules = rulesWithAdded(config.linux?.resources?.devices, added);
  const ofConfig = configDevices(config).flatMap((node): Omit<DeviceEntry, "access">[] => {
    const { path, type, major = 0n, minor = 0n, isDefault } = node;
    if (type === "p" || added.some((entry) => entry.path === path)) return [];
    const origin = isDefault ? "default" : "config";
    return [{ path, type: type === "b" ? "b" : "c", major: Number(major), minor: Number(minor), origin }];
  });
  const entries = [
    ...ofConfig,
    ...added.map(({ path, type, major, minor, source }) => {
      return { path, type, major, minor, origin: "added" as const, source };
    }),
  ];
  return entries.map(({ path, type, major, minor, ...rest }) => {
    return { path, type, major, minor, access: accessTo({ type, major, minor }, rules), ...rest };
  });
}

/** A device node of the host, open. */
interface HostNode {
  readonly node: OwnedDescriptor;
  readonly device: Pick<SavedDevice, "type" | "major" | "minor">;
  readonly rights: NodeRights;
}

/** Opens a node of the host, by a symbolic link as well, and looks at it. */
function openHostNode(source: string): HostNode {
  return onBehalfOf("", `look at the host's ${source}`, () => {
    const node = new OwnedDescriptor(openSync(source, O_PATH | O_CLOEXEC));
    try {
      const stat = fstatSync(node.number);
      const isBlock = stat.isBlockDevice();
      if (!isBlock && !stat.isCharacterDevice()) {
        const kind = stat.isDirectory()
          ? "is a directory: name one device"
          : stat.isFIFO()
            ? "is a FIFO, not a device: mounts add can bind it"
            : "is not a device node";
        throw new RuntsError(`${source} ${kind}`, { operation: "devices", errno: "ENODEV", path: source });
      }
      const { mode, uid, gid } = stat;
      const device = { type: isBlock ? "b" : "c", ...stat.deviceNumbers } as const;
      return { node, device, rights: { mode: mode & 0o777, uid, gid } };
    } catch (error) {
      node.close();
      throw error;
    }
  });
}

function deviceToAdd(config: Config, wanted: DeviceWord, { device }: HostNode, place: Place): SavedDevice {
  const { isThere, missing } = place;
  const inUserNamespace = hasNamespace(namespacesOf(config), "user");
  const made = isThere ? "nothing" : inUserNamespace ? "mount" : "node";
  return { ...wanted, ...device, made, directories: missing };
}

function isOnNodev({ number }: OwnedDescriptor): boolean {
  const id = mountIdOf("self", number);
  return (
    mountsOf("self")
      .find((mount) => mount.id === id)
      ?.options.includes("nodev") === true
  );
}

function isNodev(where: string, path: string): RuntsError {
  const message = `${path} is on ${where} with the option nodev: the device could not be opened`;
  return new RuntsError(message, { operation: "devices", errno: "EACCES", path });
}

function makeDevice(maker: DeviceMaker, device: SavedDevice, { node, rights }: HostNode): void {
  const { made, directories, source } = device;
  if (made === "node") maker.makeNode(device, rights, directories);
  if (made !== "mount") return;
  const mount = onBehalfOf("", `copy the mount of ${source}`, () => detachedNodeMount(node.number, source));
  try {
    maker.attachNode(device, mount.number, directories);
  } finally {
    mount.close();
  }
}

/** Removes what was made for a device. Returns why the node is left, if it is. */
function unmake(container: MountNamespace, device: SavedDevice): string | undefined {
  const { made, directories } = device;
  if (made === "nothing") return undefined;
  return container.inside((channel, options) => {
    const maker = new DeviceMaker(channel, options);
    const left = made === "mount" ? maker.detachNode(device) : maker.removeNode(device);
    if (left === undefined) maker.removeDirectories(directories);
    return left;
  });
}

/** Adds a device to the record and its rule to the container's. One that was added at that path before gets the new access. */
function withAdded(context: GlobalOptions, container: MountNamespace, device: SavedDevice): void {
  changeDevices(context, container, (devices) => {
    const before = devices.find(({ path }) => path === device.path);
    if (before === undefined) return [...devices, device];
    if (!isSameDevice(before, device)) throw isOther(before);
    // What an earlier command made is still to be removed.
    const made = device.made === "nothing" ? before.made : device.made;
    const directories = [...new Set([...before.directories, ...device.directories])];
    directories.sort((one, other) => one.length - other.length);
    return devices.map((entry) => (entry === before ? { ...device, made, directories } : entry));
  });
}

function isSameDevice(one: SavedDevice, other: SavedDevice): boolean {
  return one.type === other.type && one.major === other.major && one.minor === other.minor;
}

/** Takes back what `addDevice` has done, as far as it came. */
function undo(context: GlobalOptions, container: MountNamespace, added: SavedDevice): void {
  const { saved } = container;
  // With the container its mounts, its cgroup and its rules have ended.
  if (!isAlive(saved.pid, saved.startTime)) return;
  const before = saved.devices?.find(({ path }) => path === added.path);
  restoring(context, `what was made of ${added.path}`, () => void unmake(container, added));
  restoring(context, `the device rules before ${added.path}`, () =>
    changeDevices(context, container, (devices) => [
      ...devices.filter(({ path }) => path !== added.path),
      ...(before === undefined ? [] : [before]),
    ]),
  );
}

/** Does a step of undoing. The error that made it necessary is the one to throw. */
function restoring(context: GlobalOptions, what: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    context.log.warn(`${what} could not be undone: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * Changes the devices in the container's record, and its device rules with them, under the container's lock. The record is written first:
 * if the runtime is killed, `devices remove` and `update` know of the rule. If the rules can't be changed, both are as before.
 */
function changeDevices(
  context: GlobalOptions,
  { saved: { id, pid, startTime } }: MountNamespace,
  change: (devices: readonly SavedDevice[]) => readonly SavedDevice[],
): void {
  withLockedContainer(context, id, (container) => {
    const { directory, saved } = checkRunning(container, "devices");
    if (saved.pid !== pid || saved.startTime !== startTime) throw notRunning("devices", saved);
    const { devices: before = [], ...rest } = saved;
    const rules = readValidConfig(directory).linux?.resources?.devices;
    checkRules(context, container, rulesWithAdded(rules, before));
    const after = change(before);
    writeState(directory, withDevices(rest, after));
    try {
      applyRules(context, saved, rulesWithAdded(rules, after));
    } catch (error) {
      restoring(context, "the device rules", () => applyRules(context, saved, rulesWithAdded(rules, before)));
      writeState(directory, withDevices(rest, before));
      throw error;
    }
  });
}

function withDevices(state: SavedState, devices: readonly SavedDevice[]): SavedState {
  return devices.length === 0 ? state : { ...state, devices };
}

/** Throws if the container's device rules can't be changed, or are not what its record says. */
function checkRules(
  context: GlobalOptions,
  { saved: { id, cgroup } }: LockedContainer,
  rules: readonly DeviceRule[],
): void {
  const refuse = (message: string): never => {
    throw new RuntsError(message, { operation: "devices", errno: "EPERM", path: id });
  };
  if (isRootless(context.rootless, inspectCaller())) {
    refuse("a rootless caller can't change device rules: bpf(2) needs CAP_SYS_ADMIN on the host");
  }
  if (cgroup === "") refuse(`container ${id} has no cgroup: without one it has no device rules`);
  if (hasDeviceRules(cgroup, rules)) return;
  refuse(
    `another program has replaced the device rules of cgroup ${cgroupName(cgroup)}, or another version of runts has made them: a change ` +
      "would take away devices that the program has added; update with a list of devices sets the rules anew",
  );
}

/** As `update` does: the unit first, since systemd refuses a change as a whole or not at all. */
function applyRules(
  { log }: GlobalOptions,
  { scope, cgroup }: SavedState,
  rules: readonly DeviceRule[],
): void {
  if (scope !== undefined) updateScope(scope, cgroup, { writes: [], devices: rules });
  const warn = (message: string) => log.warn(message);
  applyDeviceRules(cgroup, rules, { rootless: false, isNew: false, isRequired: true, warn });
}

function isOther({ path, type, major, minor }: SavedDevice): RuntsError {
  const message = `${path} was added as ${type} ${major}:${minor}: remove it first`;
  return new RuntsError(message, { operation: "devices", errno: "EEXIST", path });
}

function notAdded({ config, saved: { id } }: MountNamespace, path: string): RuntsError {
  const isOfConfig = configDevices(config).some((node) => node.path === path);
  const message = isOfConfig
    ? `${path} is a device that container ${id} was created with: only added devices can be removed`
    : `${path} is not a device that was added to container ${id}`;
  return new RuntsError(message, { operation: "devices", errno: "ENOENT", path });
}
