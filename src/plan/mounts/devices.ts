import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_NOFOLLOW,
  O_PATH,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  STATX_BASIC_STATS,
} from "../../../bindings/abi/fcntl.ts";
import { statx } from "../../../bindings/abi/layouts.ts";
import { OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE } from "../../../bindings/abi/mount.ts";
import type { Data, Program, Register } from "../../../bindings/stub/program.ts";
import { RuntsError } from "../../errors.ts";
import type { Config, Device } from "../../spec/types.ts";
import { type InitPlan, isInUserNamespace, type ReplyCheck } from "../init-plan.ts";
import { attach, cleanPath, components, openOrCreate, protectHostNode } from "../rootfs-paths.ts";
import { isDeviceNode, makedev } from "../structs.ts";
import { openTarget } from "./made-mounts.ts";
import { parseMountOptions } from "./options.ts";
import { devIsBound, type MountRequest, PTMX } from "./requests.ts";

/** config-linux.md, Default Devices. */
const DEFAULT_DEVICES: readonly Device[] = [
  { type: "c", path: "/dev/null", major: 1n, minor: 3n, fileMode: 0o666 },
  { type: "c", path: "/dev/zero", major: 1n, minor: 5n, fileMode: 0o666 },
  { type: "c", path: "/dev/full", major: 1n, minor: 7n, fileMode: 0o666 },
  { type: "c", path: "/dev/random", major: 1n, minor: 8n, fileMode: 0o666 },
  { type: "c", path: "/dev/urandom", major: 1n, minor: 9n, fileMode: 0o666 },
  { type: "c", path: "/dev/tty", major: 5n, minor: 0n, fileMode: 0o666 },
];

/** Pointer of the default devices: that of the list of additional ones. */
const DEFAULTS_POINTER = "/linux/devices";

const FIFO = { major: 0n, minor: 0n } as const;

const FILE_TYPES = { c: S_IFCHR, u: S_IFCHR, b: S_IFBLK, p: S_IFIFO } as const;

/** runtime-linux.md, Dev symbolic links */
const SYMLINKS: readonly (readonly [name: string, target: string])[] = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
];

export interface DeviceNode extends Device {
  readonly pointer: string;
}

/** The devices that the config lists, without /dev/ptmx, which is always a symbolic link. */
export function listedDevices({ linux }: Config): DeviceNode[] {
  const listed = (linux?.devices ?? []).map((device, index) => ({
    ...device,
    path: cleanPath(device.path),
    pointer: `/linux/devices/${index}`,
  }));
  return listed.filter(({ path }) => path !== PTMX);
}

/** Devices to make: the default ones, unless the config lists one with that path, then those of the config. */
function deviceNodes({ config }: Pick<InitPlan, "config">): DeviceNode[] {
  const own = listedDevices(config);
  const paths = new Set(own.map(({ path }) => path));
  const defaults = DEFAULT_DEVICES.filter(({ path }) => !paths.has(path)).map((device) => ({
    ...device,
    pointer: DEFAULTS_POINTER,
  }));
  return [...defaults, ...own];
}

/** The devices that a container is created with. Where /dev is a bind mount, runts makes none. */
export function configDevices(config: Config): (DeviceNode & { readonly isDefault: boolean })[] {
  const isBound = (config.mounts ?? []).some(
    ({ destination, type, options = [] }) =>
      cleanPath(destination) === "/dev" && parseMountOptions(options, type).bind,
  );
  if (isBound) return [];
  return deviceNodes({ config }).map((node) => ({ ...node, isDefault: node.pointer === DEFAULTS_POINTER }));
}

/** Paths of the devices of a container whose /dev isn't a bind mount. */
export function devicePaths(config: Config): string[] {
  return deviceNodes({ config }).map(({ path }) => path);
}

/**
 * Makes devices and the links of /dev; returns the checks of the reply. `ready` has detached mounts of nodes that the runtime has made
 * already, by the pointers of their devices.
 */
export function makeDevices(
  program: Program,
  plan: InitPlan,
  requests: readonly MountRequest[],
  ready?: ReadonlyMap<string, Register>,
): ReplyCheck[] {
  const checks: ReplyCheck[] = [];
  if (devIsBound(requests)) return checks;
  // Opened once for everything in it, and verified: /dev must not be a symbolic link (CVE-2026-41579).
  program.about("/linux/devices", "open /dev");
  const dev = openTarget(program, plan, "/dev", "directory", { noSymlinks: true }).fd;
  const makeNode = isInUserNamespace(plan) ? bindDevice : makeDeviceNode;
  for (const node of deviceNodes(plan)) {
    // A mount replaces a default device, but not one that the config lists.
    if (node.pointer === DEFAULTS_POINTER && isMounted(requests, node.path)) continue;
    program.about(node.pointer, `make device ${node.path}`);
    const parts = components(node.path);
    const inDev = parts.length === 2 && parts[0] === "dev";
    const parent = inDev ? dev : openTarget(program, plan, parts.slice(0, -1).join("/"), "directory").fd;
    const mount = ready?.get(node.pointer);
    if (mount !== undefined) {
      attachNode(program, node, parent, parts.at(-1) ?? "", mount);
      continue;
    }
    // A FIFO is not a device: mknod(2) makes it in any user namespace.
    const make = node.type === "p" ? makeDeviceNode : makeNode;
    checks.push(make(program, node, parent, parts.at(-1) ?? ""));
  }
  makeDevLinks(program, plan, dev);
  return checks;
}

/** Whether the config mounts something at this path, such as /dev/urandom on /dev/random. */
function isMounted(requests: readonly MountRequest[], path: string): boolean {
  return requests.some(({ destination, options }) => destination === path && !options.remount);
}

/** File type and permissions, as mknod(2) takes them. */
export function modeOf({ type, fileMode = 0o666 }: DeviceNode): number {
  return FILE_TYPES[type] | (fileMode & 0o7777);
}

/** Device number, as mknod(2) takes it; 0 for a FIFO. */
export function numberOf({ type, major = 0n, minor = 0n }: DeviceNode): bigint {
  return type === "p" ? 0n : makedev(major, minor);
}

function makeDeviceNode(program: Program, node: DeviceNode, parent: Register, name: string): ReplyCheck {
  // The umask is 0 here, so that the mode is exact.
  const made = program.call("mknodat", [parent, name, modeOf(node), numberOf(node)], {
    tolerate: ["EEXIST"],
    path: node.path,
  });
  if (node.uid !== undefined || node.gid !== undefined) {
    program.do("fchownat", [parent, name, node.uid ?? 0, node.gid ?? 0, AT_SYMLINK_NOFOLLOW], {
      if: [made, "ok"],
      path: node.path,
    });
  }
  const found = program.output(statx.size);
  program.do("statx", [parent, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, found], {
    if: [made, "failed"],
    path: node.path,
  });
  const output = program.outputs.indexOf(found);
  return (reply) => {
    const found = reply.outputs[output];
    // stx_mask is 0 if statx was skipped because the node was made.
    if (found !== undefined && (found[0] ?? 0) + (found[1] ?? 0) > 0) checkExisting(node, found);
  };
}

/** Refuses an existing file that is not the requested device. config-linux.md, Devices: "the runtime MUST generate an error". */
function checkExisting(
  node: DeviceNode,
  found: Uint8Array,
  where: "in the container" | "on the host" = "in the container",
): void {
  // The kernel reports 0:0 for a FIFO.
  const { major, minor } = node.type === "p" ? FIFO : node;
  if (isDeviceNode(found, FILE_TYPES[node.type], major ?? 0n, minor ?? 0n)) return;
  throw new RuntsError(`${node.pointer}: ${node.path} exists ${where} and is not the device asked for`, {
    operation: "mknodat",
    errno: "EEXIST",
    path: node.path,
    pointer: node.pointer,
  });
}

/**
 * Binds the host's node, since mknod(2) is denied in a user namespace. The mount is protected, since the container's mappings may contain the
 * host's root, the node's owner.
 */
function bindDevice(program: Program, node: DeviceNode, parent: Register, name: string): ReplyCheck {
  const target = openOrCreate(program, parent, name, "file", { noSymlinks: true });
  const source = program.call("open_tree", [AT_FDCWD, node.path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC]);
  // The host's node must be the device asked for: a name alone must not open another one.
  const found = program.output(statx.size);
  program.do("statx", [source, "", AT_EMPTY_PATH, STATX_BASIC_STATS, found], { path: node.path });
  const output = program.outputs.indexOf(found);
  protectHostNode(program, source, { path: node.path });
  attach(program, source, target.fd, { path: node.path });
  program.do("close", [source]);
  program.do("close", [target.fd]);
  return (reply) => {
    const stat = reply.outputs[output];
    if (stat === undefined) return;
    checkExisting(node, stat, "on the host");
    // A default device keeps whatever mode and owner the host's node has.
    if (node.pointer !== DEFAULTS_POINTER) checkRights(node, stat);
  };
}

/**
 * Checks that the host's node has the mode and the owner that the config asks for, as the container sees them. An owner or a group only
 * matters if its permissions differ from those of others.
 */
function checkRights(node: DeviceNode, found: Uint8Array): void {
  const view = new DataView(found.buffer, found.byteOffset, found.length);
  const mode = view.getUint16(statx.stx_mode, true) & 0o7777;
  const wanted = (node.fileMode ?? mode) & 0o7777;
  if (mode !== wanted) throw otherRights(node, "fileMode", `0${mode.toString(8)}`);
  const [owner, group, others] = [mode >> 6, mode >> 3, mode].map((bits) => bits & 7);
  const uid = view.getUint32(statx.stx_uid, true);
  if (owner !== others && uid !== (node.uid ?? uid)) throw otherRights(node, "uid", `${uid}`);
  const gid = view.getUint32(statx.stx_gid, true);
  if (group !== others && gid !== (node.gid ?? gid)) throw otherRights(node, "gid", `${gid}`);
}

function otherRights({ pointer, path }: DeviceNode, name: string, found: string): RuntsError {
  const at = `${pointer}/${name}`;
  const why = "only a caller with CAP_MKNOD on the host can make another one";
  const message = `${at}: ${path} on the host has the ${name} ${found}: ${why}`;
  return new RuntsError(message, { operation: "mknodat", errno: "EEXIST", path, pointer: at });
}

/** Attaches a mount of a node that is made already. */
function attachNode(
  program: Program,
  { path }: DeviceNode,
  parent: Register,
  name: string,
  mount: Register,
): void {
  const target = openOrCreate(program, parent, name, "file", { noSymlinks: true });
  attach(program, mount, target.fd, { path });
  program.do("close", [mount]);
  program.do("close", [target.fd]);
}

function makeDevLinks(program: Program, plan: InitPlan, dev: Register): void {
  program.about("/linux/devices", "make the symbolic links of /dev");
  const links = plan.facts.hasKcore ? [...SYMLINKS, ["core", "/proc/kcore"] as const] : SYMLINKS;
  for (const [name, target] of links) {
    program.do("symlinkat", [target, dev, name], { tolerate: ["EEXIST"], path: `/dev/${name}` });
  }
  // A ptmx of the image would belong to the host's devpts, so it is replaced.
  program.do("unlinkat", [dev, "ptmx", 0], { tolerate: ["ENOENT"], path: PTMX });
  program.do("symlinkat", ["pts/ptmx", dev, "ptmx"], { path: PTMX });
}

/** Opens the host's /dev/null and verifies that it is the null device, before anything of the container is mounted (CVE-2025-31133). */
export function openHostNull(program: Program): { readonly fd: Register; readonly check: ReplyCheck } {
  program.about("/linux/maskedPaths", "open the host's /dev/null");
  const fd = program.call("openat", [AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC, 0]);
  const stat: Data = program.output(statx.size);
  program.do("statx", [fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, stat], { path: "/dev/null" });
  const output = program.outputs.indexOf(stat);
  return {
    fd,
    check: (reply) => {
      const node = {
        type: "c",
        path: "/dev/null",
        major: 1n,
        minor: 3n,
        pointer: "/linux/maskedPaths",
      } as const;
      checkExisting(node, reply.outputs[output] ?? new Uint8Array(statx.size));
    },
  };
}
