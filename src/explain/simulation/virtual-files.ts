import { CGROUP_MOUNT } from "../../cgroup/files.ts";

/** Files as create would make or change them. */

export type FileKind = "directory" | "file" | "socket" | "link" | "device";

export interface VirtualFile {
  readonly kind: FileKind;
  /** Byte text (bindings/abi/byte-text.ts). A symbolic link's is its target, a character device's its numbers, as in `1:3`. */
  content: string;
  /** Permission bits; undefined for those that are usual for the kind. */
  readonly mode?: number;
}

const ALL_CONTROLLERS = "cpuset cpu io memory hugetlb pids rdma misc";

/** Content of a new cgroup's files. */
const NEW_CGROUP: Readonly<Record<string, string>> = {
  "cgroup.type": "domain\n",
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
  /** Directories of the cgroups that processes are in. */
  readonly #cgroups = new Map<number, string>();
  /** Whether to assume cgroups that all have all controllers, since this host has no cgroup v2 at CGROUP_MOUNT. */
  assumesCgroups = false;
  /** Uid of the owner of all files. */
  owner = 0;

  get(path: string): VirtualFile | undefined {
    const told = this.#toldByKernel(path);
    if (told !== undefined) return { kind: "file", content: told };
    const known = this.#files.get(path);
    if (known !== undefined || this.#removed.has(path)) return known;
    const content = this.#cgroupFile(path);
    return content === undefined ? undefined : { kind: "file", content };
  }

  /** Whether this object, and not the host, decides what is at a path, or that nothing is. */
  decides(path: string): boolean {
    if (this.get(path) !== undefined || this.#removed.has(path)) return true;
    if (this.assumesCgroups && isBelow(path, CGROUP_MOUNT)) return true;
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
      const above = path.slice(0, end);
      if (this.#files.get(above)?.kind === "directory" || this.#removed.has(above)) return true;
    }
    return false;
  }

  make(path: string, kind: FileKind, content = "", mode?: number): VirtualFile {
    const file = { kind, content, ...(mode !== undefined && { mode }) };
    this.#files.set(path, file);
    this.#removed.delete(path);
    return file;
  }

  /** Removes a file, or a directory with all that is below it. */
  remove(path: string): void {
    for (const below of this.#namesBelow(path)) this.#files.delete(`${path}/${below}`);
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

  /** Entries of a directory. */
  entriesOf(directory: string): { readonly name: string; readonly kind: FileKind }[] {
    return this.#namesBelow(directory)
      .filter((name) => !name.includes("/"))
      .map((name) => ({ name, kind: this.#files.get(`${directory}/${name}`)?.kind ?? "file" }));
  }

  /** Whether rmdir(2) would remove a directory. The files of a cgroup are no obstacle. */
  isRemovable(directory: string): boolean {
    const entries = this.entriesOf(directory);
    return this.isCgroup(directory)
      ? entries.every(({ kind }) => kind !== "directory")
      : entries.length === 0;
  }

  /** Whether the path is a cgroup that was made in the simulation. */
  isCgroup(path: string): boolean {
    return isBelow(path, CGROUP_MOUNT) && this.#files.get(path)?.kind === "directory";
  }

  /** Whether a write replaces the content of a file, as with files of cgroups. */
  isSetting(path: string): boolean {
    return isBelow(path, CGROUP_MOUNT);
  }

  enterCgroup(pid: number, directory: string): void {
    this.#cgroups.set(pid, directory);
  }

  leaveCgroup(pid: number): void {
    this.#cgroups.delete(pid);
  }

  /** Path below the mount of the cgroup that a process has entered. */
  cgroupOf(pid: number): string | undefined {
    return this.#cgroups.get(pid)?.slice(CGROUP_MOUNT.length);
  }

  processesIn(directory: string): number[] {
    return [...this.#cgroups].flatMap(([pid, cgroup]) => (cgroup === directory ? pid : []));
  }

  #namesBelow(directory: string): string[] {
    const prefix = `${directory}/`;
    return [...this.#files.keys()].flatMap((path) =>
      path.startsWith(prefix) ? path.slice(prefix.length) : [],
    );
  }

  /** Content of cgroup.procs and cgroup.events, which follows from where processes are. */
  #toldByKernel(path: string): string | undefined {
    const directory = path.slice(0, path.lastIndexOf("/"));
    if (!this.isCgroup(directory)) return undefined;
    const name = path.slice(directory.length + 1);
    if (name === "cgroup.procs") return this.#linesOfProcesses(directory);
    if (name !== "cgroup.events") return undefined;
    const populated = [...this.#cgroups.values()].some((cgroup) => isBelow(cgroup, directory));
    const frozen = this.get(`${directory}/cgroup.freeze`)?.content.startsWith("1") ?? false;
    return `populated ${Number(populated)}\nfrozen ${Number(frozen)}\n`;
  }

  #linesOfProcesses(directory: string): string {
    return this.processesIn(directory)
      .map((pid) => `${pid}\n`)
      .join("");
  }

  #cgroupFile(path: string): string | undefined {
    const directory = path.slice(0, path.lastIndexOf("/"));
    const isRoot = directory === CGROUP_MOUNT && this.assumesCgroups;
    if (!isRoot && !this.isCgroup(directory)) return undefined;
    const name = path.slice(directory.length + 1);
    if (isRoot) {
      if (name === "cgroup.controllers" || name === "cgroup.subtree_control") return `${ALL_CONTROLLERS}\n`;
      return undefined;
    }
    if (name === "cgroup.subtree_control") return "\n";
    if (name === "cgroup.controllers") return this.controllersOf(directory);
    return NEW_CGROUP[name] ?? (this.#hasFile(directory, name) ? "" : undefined);
  }

  /** Whether a cgroup has a file: files of a controller exist if the cgroup has the controller. */
  #hasFile(directory: string, name: string): boolean {
    const controller = name.slice(0, Math.max(0, name.indexOf(".")));
    return controller === "cgroup" || this.controllersOf(directory).trim().split(" ").includes(controller);
  }

  /** Controllers that the parent enables for its children, from the host where the parent is not simulated. */
  controllersOf(directory: string): string {
    const parent = directory.slice(0, directory.lastIndexOf("/"));
    const file = `${parent}/cgroup.subtree_control`;
    return this.get(file)?.content ?? this.readHost(file);
  }

  /** Reads a file of the host; set by the simulated kernel. */
  readHost: (path: string) => string = () => "";
}

function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}
