import { readFileSync } from "node:fs";
import { AT_FDCWD } from "../../../bindings/abi/fcntl.ts";
import type { NativeArgument } from "../../../bindings/ffi/koffi.ts";
import { cString } from "../../../bindings/ffi/syscall.ts";
import { STUB_NAME } from "../../../bindings/stub/client.ts";
import type { Names } from "../names.ts";

/** Simulates procfs for the simulated processes, as far as the runtime reads it. */
export class SimulatedProcesses {
  readonly #names: Names;
  /** Content of uid_map and gid_map. */
  maps: { readonly uid: string; readonly gid: string } = { uid: "", gid: "" };
  /** Names, as in /proc/PID/ns, of the namespaces that the container does not share with the runtime. */
  ownNamespaces: ReadonlySet<string> = new Set();
  /** Paths of the namespaces that the container joins, by the same names. */
  joinedNamespaces: ReadonlyMap<string, string> = new Map();
  /** Cgroup, as a path below the mount, of the processes that `cgroupOf` doesn't know. */
  cgroup = "/";
  cgroupOf: (pid: number) => string | undefined = () => undefined;
  readonly #ended = new Set<number>();

  constructor(names: Names) {
    this.#names = names;
  }

  owns(path: string): boolean {
    return this.#parts(path) !== undefined;
  }

  /** Whether a path of a simulated process does not exist. Its root directory does: during the set-up it is the host's. */
  lacks(path: string): boolean {
    const name = this.#parts(path)?.name;
    return name !== undefined && name !== "root";
  }

  /** Arguments of openat(2) or openat2(2), with the host's root directory in place of a simulated process's. */
  onHost(path: string, args: readonly NativeArgument[]): readonly NativeArgument[] {
    return this.#parts(path)?.name === "root" ? [AT_FDCWD, cString("/"), ...args.slice(2)] : args;
  }

  /** Content of a file; undefined if it does not exist, or is not a simulated process's. */
  file(path: string): string | undefined {
    const parts = this.#parts(path);
    if (parts === undefined || this.hasEnded(Number(parts.pid))) return undefined;
    switch (parts.name) {
      case "stat":
        // state, then 18 fields up to the start time: proc_pid_stat(5)
        return `${parts.pid} (${STUB_NAME}) S ${"0 ".repeat(18)}1 0 0`;
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
    if (parts.name === "exe") return `/memfd:${STUB_NAME} (deleted)`;
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

  /** Path on the host of the namespace that a file of a process stands for; undefined for one that is yet to be made. */
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

/** Mappings of a user namespace that is joined by a path in procfs; undefined where they can't be read. */
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
