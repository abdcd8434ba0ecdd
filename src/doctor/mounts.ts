import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH } from "../../bindings/abi/fcntl.ts";
import { fstatSync, isMountRoot } from "../../bindings/linux/file-status.ts";
import { closeSync, freadlinkSync, openSync, readlinkSync } from "../../bindings/linux/files.ts";
import { type MountInfo, mountIdOf, mountsOf } from "../../bindings/linux/mount-info.ts";
import { openInRoot } from "../../bindings/linux/open-beneath.ts";
import { absolutePath } from "../../bindings/linux/paths.ts";
import { SyscallError } from "../../bindings/syscall-error.ts";
import type { SavedDevice } from "../container/record/saved-state.ts";
import { bindSource } from "../inspect/container-view.ts";
import { MOUNT_FLAGS, type MountOptions, parseMountOptions } from "../plan/mounts/options.ts";
import type { Config, Mount } from "../spec/types.ts";
import type { Finding } from "./finding.ts";

/** Looks at files of a container. No symbolic link of the image leads out of its root. */
export interface ContainerFiles {
  /** The mount whose root is at a path; undefined if the path does not exist. */
  mountAt(path: string, links?: "follow" | "no-follow"): MountInfo | "none" | undefined;
  /** Target of a symbolic link; undefined if there is none. */
  linkAt(path: string): string | undefined;
  /** Target of the source of a bind mount on the host; undefined if that is not a symbolic link. */
  sourceLink(mount: Mount): string | undefined;
  /** Device number of a node; undefined if there is none. */
  device(path: string): number | undefined;
}

/** Opens the files of a process for the time of an action. */
export function withFilesOf<T>(pid: number, bundle: string, use: (files: ContainerFiles) => T): T {
  const root = openSync(`/proc/${pid}/root`, O_PATH | O_DIRECTORY | O_CLOEXEC);
  try {
    const mounts = mountsOf(pid);
    return use({
      mountAt: (path, links) => lookAt(root, path, (fd) => mountOf(fd, mounts), links),
      linkAt: (path) => lookAt(root, path, linkOf, "no-follow"),
      sourceLink: (mount) => tryReadlink(bindSource(mount, bundle)),
      device: (path) => lookAt(root, path, (fd) => fstatSync(fd).rdev),
    });
  } finally {
    closeSync(root);
  }
}

function mountOf(fd: number, mounts: readonly MountInfo[]): MountInfo | "none" {
  if (!isMountRoot(fd)) return "none";
  const mount = mountIdOf("self", fd);
  return mounts.find(({ id }) => id === mount) ?? "none";
}

function linkOf(fd: number): string | undefined {
  return fstatSync(fd).isSymbolicLink() ? freadlinkSync(fd) : undefined;
}

/** Returns undefined also where this caller may not look. */
function tryReadlink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function lookAt<T>(
  root: number,
  path: string,
  look: (fd: number) => T,
  links: "follow" | "no-follow" = "follow",
): T | undefined {
  let fd: number;
  try {
    fd = openInRoot(root, path, O_PATH | O_CLOEXEC | (links === "follow" ? 0 : O_NOFOLLOW));
  } catch (error) {
    if (error instanceof SyscallError) return undefined;
    throw error;
  }
  try {
    return look(fd);
  } finally {
    closeSync(fd);
  }
}

export function examineMounts(config: Config, files: ContainerFiles): Finding[] {
  return [
    ...examineRoot(config, files),
    ...(config.mounts ?? []).map((mount, index) =>
      examineMount(mount, `/mounts/${index}`, files, isHidden(config, index)),
    ),
    ...examinePaths(config, files),
    ...examineDevices(config, files),
  ];
}

function examineRoot({ root }: Config, files: ContainerFiles): Finding[] {
  if (root.readonly !== true) return [];
  const good = isReadOnly(files.mountAt("/"));
  return [mountFinding("/", "/root/readonly", good, good ? "read-only" : "can be written")];
}

function isReadOnly(mount: MountInfo | "none" | undefined): boolean {
  if (mount === undefined || mount === "none") return false;
  return mount.options.includes("ro") || mount.superOptions.includes("ro");
}

/** Whether a later mount, at the same place or above it, hides a mount. */
function isHidden({ mounts = [] }: Config, index: number): boolean {
  const path = absolutePath(mounts[index]?.destination ?? "/");
  return mounts.slice(index + 1).some(({ destination, options = [] }) => {
    const later = absolutePath(destination);
    return !options.includes("remount") && (path === later || path.startsWith(`${later}/`) || later === "/");
  });
}

function examineMount(mount: Mount, pointer: string, files: ContainerFiles, hidden: boolean): Finding {
  const { destination, type = "", options = [] } = mount;
  if (hidden)
    return {
      area: "mounts",
      subject: destination,
      verdict: "note",
      detail: "hidden by a later mount",
      pointer,
    };
  const parsed = parseMountOptions(options);
  const link = parsed.copySymlink ? files.linkAt(destination) : undefined;
  if (link !== undefined) {
    const wanted = files.sourceLink(mount) ?? link;
    const detail = `a symbolic link to ${link}${link === wanted ? "" : `, not ${wanted}`}`;
    return mountFinding(destination, pointer, link === wanted, detail);
  }
  const entry = mountOn(destination, parsed, files);
  if (entry === undefined) return mountFinding(destination, pointer, false, "nothing is mounted there");
  const wanted = new Set(options);
  const isBind = parsed.bind || parsed.remount;
  const expectedType = type === "cgroup" ? "cgroup2" : type;
  const problems: string[] = [];
  if (!isBind && expectedType !== "" && entry.type !== expectedType && type !== "cgroup")
    problems.push(`is of type ${entry.type}, not ${expectedType}`);
  const readOnly = wanted.has("ro") || wanted.has("rro");
  if (readOnly && !wanted.has("rw") && !isReadOnly(entry)) problems.push("can be written");
  for (const { set, clear } of MOUNT_FLAGS) {
    // `ro` may be a flag of the file system instead, as isReadOnly knows.
    if (set === "ro" || !wanted.has(set) || wanted.has(clear)) continue;
    if (!entry.options.includes(set)) problems.push(`lacks ${set}`);
  }
  const detail = problems.length > 0 ? problems.join(", ") : `${entry.type} ${entry.options.join(",")}`;
  return mountFinding(destination, pointer, problems.length === 0, detail);
}

/** The mount at a destination. One that is, or covers, a symbolic link is found if the link is not followed. */
function mountOn(
  destination: string,
  { sourceNoFollow, destinationNoFollow }: MountOptions,
  files: ContainerFiles,
): MountInfo | undefined {
  const followed = files.mountAt(destination);
  if (followed !== undefined && followed !== "none") return followed;
  const own = sourceNoFollow || destinationNoFollow ? files.mountAt(destination, "no-follow") : undefined;
  return own === "none" ? undefined : own;
}

function examinePaths({ linux = {} }: Config, files: ContainerFiles): Finding[] {
  const kinds = [
    ["maskedPaths", "masked", (mount: MountInfo | "none") => mount !== "none"],
    ["readonlyPaths", "read-only", isReadOnly],
  ] as const;
  return kinds.flatMap(([property, state, holds]) =>
    (linux[property] ?? []).map((path, index): Finding => {
      const pointer = `/linux/${property}/${index}`;
      const mount = files.mountAt(path);
      if (mount === undefined)
        return { area: "mounts", subject: path, verdict: "good", detail: "is not there", pointer };
      const good = holds(mount);
      return mountFinding(path, pointer, good, good ? state : `is not ${state}`);
    }),
  );
}

function examineDevices({ linux = {} }: Config, files: ContainerFiles): Finding[] {
  return (linux.devices ?? [])
    .filter(({ type }) => type !== "p")
    .map(({ path, major = 0n, minor = 0n }, index): Finding => {
      const pointer = `/linux/devices/${index}`;
      return { ...examineDevice({ path, major: Number(major), minor: Number(minor) }, files), pointer };
    });
}

/** The devices that `devices add` has added are no deviation from the config. */
export function examineAddedDevices(devices: readonly SavedDevice[], files: ContainerFiles): Finding[] {
  return devices.map((device) => {
    const finding = examineDevice(device, files);
    return { ...finding, detail: `${finding.detail}, added by devices add` };
  });
}

function examineDevice(
  { path, major, minor }: Pick<SavedDevice, "path" | "major" | "minor">,
  files: ContainerFiles,
): Finding {
  const found = files.device(path);
  const good = found === deviceNumber(major, minor);
  const detail = found === undefined ? "is not a device node" : `${good ? "is" : "is not"} ${major}:${minor}`;
  return { area: "devices", subject: path, verdict: good ? "good" : "bad", detail };
}

/** Device number as makedev(3) makes it, which interleaves the parts. */
export function deviceNumber(major: number, minor: number): number {
  return (minor & 0xff) + (major & 0xfff) * 0x100 + (minor & ~0xff) * 0x1000;
}

function mountFinding(subject: string, pointer: string, good: boolean, detail: string): Finding {
  return { area: "mounts", subject, verdict: good ? "good" : "bad", detail, pointer };
}
