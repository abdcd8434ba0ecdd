import { lstatSync, readlinkSync, statSync } from "node:fs";
import { absolutePath } from "../../bindings/linux/paths.ts";
import { parseMountOptions } from "../plan/mount-options.ts";
import type { Config, Mount } from "../spec/types.ts";
import type { Finding } from "./finding.ts";
import { isReadOnly, type MountEntry, mountAt, parseMountTable } from "./mount-table.ts";

/** The container's files, to be looked at only: a link of the image never leads out of its root. */
export interface ContainerFiles {
  /** Text of /proc/PID/mountinfo. */
  readonly mountinfo: string;
  /** Follows the links of a path as the container would. undefined if there is nothing. */
  resolve(path: string): string | undefined;
  /** Device number of a node; undefined if there is none. */
  device(path: string): number | undefined;
}

export function filesOf(pid: number, mountinfo: string): ContainerFiles {
  const root = `/proc/${pid}/root`;
  const resolve = (path: string) => resolveIn(root, path);
  return {
    mountinfo,
    resolve,
    device: (path) => {
      const resolved = resolve(path);
      return resolved === undefined
        ? undefined
        : statSync(`${root}${resolved}`, { throwIfNoEntry: false })?.rdev;
    },
  };
}

/** One component after the other, so that no link is followed from the host's root. */
function resolveIn(root: string, path: string): string | undefined {
  const MAX_LINKS = 40;
  let links = 0;
  let resolved = "";
  const rest = absolutePath(path).split("/").filter(Boolean).reverse();
  for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
    if (name === "..") {
      resolved = resolved.slice(0, Math.max(0, resolved.lastIndexOf("/")));
      continue;
    }
    const next = `${resolved}/${name}`;
    try {
      if (!lstatSync(`${root}${next}`).isSymbolicLink()) {
        resolved = next;
        continue;
      }
      if (++links > MAX_LINKS) return undefined;
      const target = readlinkSync(`${root}${next}`);
      if (target.startsWith("/")) resolved = "";
      rest.push(
        ...target
          .split("/")
          .filter((part) => part !== "" && part !== ".")
          .reverse(),
      );
    } catch {
      return undefined;
    }
  }
  return resolved === "" ? "/" : resolved;
}

export function examineMounts(config: Config, files: ContainerFiles): Finding[] {
  const table = parseMountTable(files.mountinfo);
  return [
    ...examineRoot(config, table),
    ...(config.mounts ?? []).map((mount, index) =>
      examineMount(mount, `/mounts/${index}`, table, files, isHidden(config, index)),
    ),
    ...examinePaths(config, table, files),
    ...examineDevices(config, files),
  ];
}

function examineRoot({ root }: Config, table: readonly MountEntry[]): Finding[] {
  const entry = mountAt(table, "/");
  const wanted = root.readonly === true;
  if (!wanted) return [];
  const good = entry !== undefined && isReadOnly(entry);
  return [mountFinding("/", "/root/readonly", good, good ? "read-only" : "can be written")];
}

/** A later mount on the same place or above it hides an earlier one. */
function isHidden({ mounts = [] }: Config, index: number): boolean {
  const path = absolutePath(mounts[index]?.destination ?? "/");
  return mounts.slice(index + 1).some(({ destination, options = [] }) => {
    const later = absolutePath(destination);
    return !options.includes("remount") && (path === later || path.startsWith(`${later}/`) || later === "/");
  });
}

/** Flags of mountinfo by the names of options. */
const FLAGS = ["nosuid", "nodev", "noexec", "nosymfollow"] as const;

function examineMount(
  mount: Mount,
  pointer: string,
  table: readonly MountEntry[],
  files: ContainerFiles,
  hidden: boolean,
): Finding {
  const { destination, type = "", options = [] } = mount;
  if (hidden)
    return {
      area: "mounts",
      subject: destination,
      verdict: "note",
      detail: "hidden by a later mount",
      pointer,
    };
  const path = files.resolve(destination) ?? absolutePath(destination);
  const entry = mountAt(table, path);
  if (entry === undefined) return mountFinding(destination, pointer, false, "nothing is mounted there");
  const parsed = parseMountOptions(options);
  const wanted = new Set(options);
  const isBind = parsed.bind || parsed.remount;
  const expectedType = type === "cgroup" ? "cgroup2" : type;
  const problems: string[] = [];
  if (!isBind && expectedType !== "" && entry.type !== expectedType && type !== "cgroup")
    problems.push(`is of type ${entry.type}, not ${expectedType}`);
  const readOnly = wanted.has("ro") || wanted.has("rro");
  if (readOnly && !wanted.has("rw") && !isReadOnly(entry)) problems.push("can be written");
  for (const flag of FLAGS) {
    const undone = wanted.has(flag.slice(2));
    if (wanted.has(flag) && !undone && !entry.options.includes(flag)) problems.push(`lacks ${flag}`);
  }
  const detail = problems.length > 0 ? problems.join(", ") : `${entry.type} ${entry.options.join(",")}`;
  return mountFinding(destination, pointer, problems.length === 0, detail);
}

function examinePaths(
  { linux = {} }: Config,
  table: readonly MountEntry[],
  files: ContainerFiles,
): Finding[] {
  const kinds = [
    ["maskedPaths", "masked", () => true],
    ["readonlyPaths", "read-only", isReadOnly],
  ] as const;
  return kinds.flatMap(([property, state, holds]) =>
    (linux[property] ?? []).map((path, index): Finding => {
      const pointer = `/linux/${property}/${index}`;
      const resolved = files.resolve(path);
      if (resolved === undefined)
        return { area: "mounts", subject: path, verdict: "good", detail: "is not there", pointer };
      const entry = mountAt(table, resolved);
      const good = entry !== undefined && holds(entry);
      return mountFinding(path, pointer, good, good ? state : `is not ${state}`);
    }),
  );
}

function examineDevices({ linux = {} }: Config, files: ContainerFiles): Finding[] {
  return (linux.devices ?? [])
    .filter(({ type }) => type !== "p")
    .map(({ path, major = 0n, minor = 0n }, index): Finding => {
      const found = files.device(path);
      const good = found === deviceNumber(Number(major), Number(minor));
      const detail =
        found === undefined ? "is no device node" : `${good ? "is" : "is not"} ${major}:${minor}`;
      return {
        area: "devices",
        subject: path,
        verdict: good ? "good" : "bad",
        detail,
        pointer: `/linux/devices/${index}`,
      };
    });
}

/** makedev(3), whose parts are interleaved. */
export function deviceNumber(major: number, minor: number): number {
  return (minor & 0xff) + (major & 0xfff) * 0x100 + (minor & ~0xff) * 0x1000;
}

function mountFinding(subject: string, pointer: string, good: boolean, detail: string): Finding {
  return { area: "mounts", subject, verdict: good ? "good" : "bad", detail, pointer };
}
