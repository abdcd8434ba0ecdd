import { CGROUP_MOUNT } from "../../cgroup/files.ts";

/** Files that create would make or change, as they would be. */

export type FileKind = "directory" | "file" | "socket" | "link" | "device";

export interface VirtualFile {
  readonly kind: FileKind;
  /** Byte text (bindings/abi/byte-text.ts); of a symbolic link where it leads, of a character device its numbers, as `1:3`. */
  content: string;
  /** Rights; without them those that are usual for the kind. */
  readonly mode?: number;
}

const ALL_CONTROLLERS = "cpuset cpu io memory hugetlb pids rdma misc";

/** What a new cgroup's files say. */
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
  /** Whether a host is assumed whose cgroups all have all controllers: this one has no cgroup v2 in the place. */
  assumesCgroups = false;
  /** Who owns them. */
  owner = 0;

  get(path: string): VirtualFile | undefined {
    const told = this.#toldByKernel(path);
    if (told !== undefined) return { kind: "file", content: told };
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

  make(path: string, kind: FileKind, content = "", mode?: number): VirtualFile {
    const file = { kind, content, ...(mode !== undefined && { mode }) };
    this.#files.set(path, file);
    this.#removed.delete(path);
    return file;
  }

  /** With all that is below it. */
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

  /** What is in a directory. */
  entriesOf(directory: string): { readonly name: string; readonly kind: FileKind }[] {
    return this.#namesBelow(directory)
      .filter((name) => !name.includes("/"))
      .map((name) => ({ name, kind: this.#files.get(`${directory}/${name}`)?.kind ?? "file" }));
  }

  /** The files of a cgroup go with it. rmdir(2) */
  isRemovable(directory: string): boolean {
    const entries = this.entriesOf(directory);
    return this.isCgroup(directory)
      ? entries.every(({ kind }) => kind !== "directory")
      : entries.length === 0;
  }

  /** Whether it is a cgroup that is made here. */
  isCgroup(path: string): boolean {
    return isBelow(path, CGROUP_MOUNT) && this.#files.get(path)?.kind === "directory";
  }

  /** Whether writing replaces what the file says, as with files of cgroups. */
  isSetting(path: string): boolean {
    return isBelow(path, CGROUP_MOUNT);
  }

  enterCgroup(pid: number, directory: string): void {
    this.#cgroups.set(pid, directory);
  }

  leaveCgroup(pid: number): void {
    this.#cgroups.delete(pid);
  }

  /** Path, below the mount point, of the cgroup that a process has entered. */
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

  /** Files of a cgroup whose content follows from what is done elsewhere. */
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
