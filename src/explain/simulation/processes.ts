import { readFileSync } from "node:fs";
import { AT_FDCWD } from "../../../bindings/abi/fcntl.ts";
import type { NativeArgument } from "../../../bindings/ffi/koffi.ts";
import { cString } from "../../../bindings/ffi/syscall.ts";
import type { Names } from "../names.ts";

/** procfs of the processes that are not there, as far as the runtime looks at it. */
export class SimulatedProcesses {
  readonly #names: Names;
  /** What uid_map and gid_map say. */
  maps: { readonly uid: string; readonly gid: string } = { uid: "", gid: "" };
  /** Names in /proc/PID/ns of the namespaces that a container does not share with the runtime. */
  ownNamespaces: ReadonlySet<string> = new Set();
  /** Paths of namespaces that it joins, by the same names. */
  joinedNamespaces: ReadonlyMap<string, string> = new Map();
  /** The path, below the mount point, of the cgroup of processes that `cgroupOf` knows nothing of. */
  cgroup = "/";
  cgroupOf: (pid: number) => string | undefined = () => undefined;
  readonly #ended = new Set<number>();

  constructor(names: Names) {
    this.#names = names;
  }

  owns(path: string): boolean {
    return this.#parts(path) !== undefined;
  }

  /** Whether a simulated process has nothing at this path. Its root directory exists: it is the host's during the set-up. */
  lacks(path: string): boolean {
    const name = this.#parts(path)?.name;
    return name !== undefined && name !== "root";
  }

  /** Arguments of openat(2) or openat2(2): a simulated process's root directory is replaced by the host's. */
  onHost(path: string, args: readonly NativeArgument[]): readonly NativeArgument[] {
    return this.#parts(path)?.name === "root" ? [AT_FDCWD, cString("/"), ...args.slice(2)] : args;
  }

  /** Content of a file; undefined for what is not there, or not here. */
  file(path: string): string | undefined {
    const parts = this.#parts(path);
    if (parts === undefined || this.hasEnded(Number(parts.pid))) return undefined;
    switch (parts.name) {
      case "stat":
        // state, then 18 fields up to the start time: proc_pid_stat(5)
        return `${parts.pid} (runts-init) S ${"0 ".repeat(18)}1 0 0`;
      case "uid_map":
        return this.maps.uid;
      case "gid_map":
        return this.maps.gid;
      case "setgroups":
        return "allow\n";
      case "cgroup":
        return `0::${this.cgroupOf(Number(parts.pid)) ?? this.cgroup}\n`;
      case "mountinfo":
      case "oom_score_adj":
      case "timens_offsets":
        return "";
      default:
        return parts.name.startsWith("ns/") ? "" : undefined;
    }
  }

  /** Target of a symbolic link. */
  link(path: string): string | undefined {
    const parts = this.#parts(path);
    if (parts === undefined || this.hasEnded(Number(parts.pid))) return undefined;
    if (parts.name === "exe") return "/memfd:runts-init (deleted)";
    if (!parts.name.startsWith("ns/")) return undefined;
    const name = parts.name.slice("ns/".length);
    return this.ownNamespaces.has(name) ? `${name}:[0]` : undefined;
  }

  /** The runtime's own file of a namespace that a process shares with it; undefined for all other files. */
  sharedNamespace(path: string): string | undefined {
    const [, name] = /^ns\/(.+)$/.exec(this.#parts(path)?.name ?? "") ?? [];
    return name === undefined || this.ownNamespaces.has(name) ? undefined : `/proc/self/ns/${name}`;
  }

  end(pid: number): void {
    this.#ended.add(pid);
  }

  hasEnded(pid: number): boolean {
    return this.#ended.has(pid);
  }

  /** Where the host has the namespace that a file of a process stands for; undefined for one that is yet to be made. */
  namespaceOnHost(path: string): string | undefined {
    const [, name] = /^ns\/(.+)$/.exec(this.#parts(path)?.name ?? "") ?? [];
    if (name === undefined) return undefined;
    const joined = this.joinedNamespaces.get(name);
    return joined ?? (this.ownNamespaces.has(name) ? undefined : `/proc/self/ns/${name}`);
  }

  #parts(path: string): { readonly pid: string; readonly name: string } | undefined {
    const [, pid = "", name = ""] = /^\/proc\/(\d+)\/(.+)$/.exec(path) ?? [];
    return pid !== "" && this.#names.processName(Number(pid)) !== undefined ? { pid, name } : undefined;
  }
}

/** Mappings that a user namespace, which is joined by its path in procfs, has; undefined where they can't be told. */
export function mappingsOf(path: string): { readonly uid: string; readonly gid: string } | undefined {
  const member = /^(\/proc\/\d+)\/ns\/user$/.exec(path)?.[1];
  if (member === undefined) return undefined;
  try {
    return {
      uid: readFileSync(`${member}/uid_map`, "utf8"),
      gid: readFileSync(`${member}/gid_map`, "utf8"),
    };
  } catch {
    return undefined;
  }
}
