import { CGROUP_MOUNT } from "../cgroup/files.ts";

/** Files that create would make or change, as they would be. */

export type FileKind = "directory" | "file" | "socket";

export interface VirtualFile {
  readonly kind: FileKind;
  content: string;
}

const ALL_CONTROLLERS = "cpuset cpu io memory hugetlb pids rdma misc";

/** What a new cgroup's files say. */
const NEW_CGROUP: Readonly<Record<string, string>> = {
  "cgroup.type": "domain\n",
  "cgroup.events": "populated 0\nfrozen 0\n",
  "cgroup.procs": "",
  "cgroup.threads": "",
  "cgroup.freeze": "0\n",
  "memory.max": "max\n",
  "memory.current": "0\n",
  "memory.swap.current": "0\n",
  "cpu.max": "max 100000\n",
};

export class VirtualFiles {
  readonly #files = new Map<string, VirtualFile>();
  readonly #removed = new Set<string>();
  /** Whether a host is assumed whose cgroups all have all controllers: this one has no cgroup v2 in the place. */
  assumesCgroups = false;

  get(path: string): VirtualFile | undefined {
    const known = this.#files.get(path);
    if (known !== undefined || this.#removed.has(path)) return known;
    const content = this.#cgroupFile(path);
    return content === undefined ? undefined : { kind: "file", content };
  }

  /** Whether what is at the path, or that nothing is there, is decided here and not by the host. */
  decides(path: string): boolean {
    if (this.get(path) !== undefined || this.#removed.has(path)) return true;
    if (this.assumesCgroups && isBelow(path, CGROUP_MOUNT)) return true;
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1))
      if (this.#files.get(path.slice(0, end))?.kind === "directory") return true;
    return false;
  }

  make(path: string, kind: FileKind, content = ""): VirtualFile {
    const file = { kind, content };
    this.#files.set(path, file);
    this.#removed.delete(path);
    return file;
  }

  remove(path: string): void {
    this.#files.delete(path);
    this.#removed.add(path);
  }

  rename(from: string, to: string): void {
    const file = this.#files.get(from);
    if (file === undefined) return;
    this.remove(from);
    this.#files.set(to, file);
    this.#removed.delete(to);
  }

  #cgroupFile(path: string): string | undefined {
    const directory = path.slice(0, path.lastIndexOf("/"));
    const isRoot = directory === CGROUP_MOUNT && this.assumesCgroups;
    const isNew = isBelow(directory, CGROUP_MOUNT) && this.#files.get(directory)?.kind === "directory";
    if (!isRoot && !isNew) return undefined;
    const name = path.slice(directory.length + 1);
    if (isRoot) {
      if (name === "cgroup.controllers" || name === "cgroup.subtree_control") return `${ALL_CONTROLLERS}\n`;
      return undefined;
    }
    if (name === "cgroup.subtree_control") return "\n";
    if (name === "cgroup.controllers") return this.controllersOf(directory);
    return NEW_CGROUP[name] ?? (this.#hasFile(directory, name) ? "" : undefined);
  }

  /** Files of a controller are there if the cgroup has it. */
  #hasFile(directory: string, name: string): boolean {
    const controller = name.slice(0, Math.max(0, name.indexOf(".")));
    return controller === "cgroup" || this.controllersOf(directory).trim().split(" ").includes(controller);
  }

  /** What the cgroup above gives to those below it, as the host says where that is not decided here. */
  controllersOf(directory: string): string {
    const parent = directory.slice(0, directory.lastIndexOf("/"));
    const file = `${parent}/cgroup.subtree_control`;
    return this.get(file)?.content ?? this.readHost(file);
  }

  /** Set by the kernel that these belong to. */
  readHost: (path: string) => string = () => "";
}

function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}
