import { byteText } from "../../../bindings/abi/byte-text.ts";
import { errnoNumber } from "../../../bindings/abi/errno.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  O_ACCMODE,
  O_CREAT,
  O_EXCL,
  O_TRUNC,
} from "../../../bindings/abi/fcntl.ts";
import type { NativeArgument } from "../../../bindings/ffi/koffi.ts";
import { cString, type Kernel, type SyscallName } from "../../../bindings/ffi/syscall.ts";
import { dirname } from "../../../bindings/linux/paths.ts";
import { CGROUP_MOUNT } from "../../cgroup/files.ts";
import { bytesOf, textOf } from "../native.ts";
import { becomeCgroup2, copyEntries, copyPart, enabled, fillStatus, flagsOf } from "./answers.ts";
import type { OpenFiles } from "./open-files.ts";
import type { SimulatedProcesses } from "./processes.ts";
import { type VirtualFile, VirtualFiles } from "./virtual-files.ts";

type Args = readonly NativeArgument[];

/** Called for each system call that would change something outside of the calling process. */
export type Observer = (call: SyscallName, args: Args, path: string) => void;

interface FilesContext {
  /** Answers what is not simulated. */
  readonly host: Kernel;
  readonly observe: Observer;
  /** Whether to assume root's rights for a caller who is not root. */
  readonly asRoot: boolean;
  readonly open: OpenFiles;
  readonly processes: SimulatedProcesses;
}

/** Answers system calls about files: changes go to VirtualFiles; reads get the host's files wherever VirtualFiles does not decide. */
export class SimulatedFiles {
  readonly files = new VirtualFiles();
  readonly #host: Kernel;
  readonly #observe: Observer;
  readonly #asRoot: boolean;
  readonly #open: OpenFiles;
  readonly #processes: SimulatedProcesses;

  constructor({ host, observe, asRoot, open, processes }: FilesContext) {
    this.#host = host;
    this.#observe = observe;
    this.#asRoot = asRoot;
    this.#open = open;
    this.#processes = processes;
  }

  readonly handlers: Partial<Record<SyscallName, (args: Args) => number>> = {
    openat: (args) => this.#openFile("openat", args, Number(args[2])),
    openat2: (args) => this.#openFile("openat2", args, flagsOf(bytesOf(args[2]))),
    pread64: ([fd, buffer, length, offset]) => {
      const open = this.#open.get(Number(fd));
      if (open === undefined)
        return this.#host("pread64", [fd ?? null, buffer ?? null, length ?? 0, offset ?? 0]);
      return copyPart(open.file, Number(offset), bytesOf(buffer), Number(length));
    },
    write: (args) => this.#write("write", args),
    pwrite64: (args) => this.#write("pwrite64", args),
    statx: (args) => this.#statx(args),
    statfs: (args) => this.#statfs(args),
    faccessat: (args) => this.#access(args),
    readlinkat: (args) => this.#readlink(args),
    getdents64: (args) => this.#list(args),
    mkdirat: (args) => this.#mkdir(args),
    unlinkat: (args) => this.#unlink(args),
    renameat2: (args) => {
      this.#observe("renameat2", args, this.path(args[0], args[1]));
      this.files.rename(this.path(args[0], args[1]), this.path(args[2], args[3]));
      return 0;
    },
    fchmodat: (args) => this.#changed("fchmodat", args),
    fchownat: (args) => this.#changed("fchownat", args),
  };

  #openFile(call: "openat" | "openat2", args: Args, flags: number): number {
    const path = this.path(args[0], args[1]);
    const writes = (flags & O_ACCMODE) !== 0 || (flags & O_CREAT) !== 0;
    if (!writes) return this.#openForReading(call, args, path);
    const existing = this.files.get(path) ?? this.#processFile(path);
    const isHere = this.files.decides(path);
    const exists = existing !== undefined || (!isHere && this.#onHost(path, 0));
    if (exists && (flags & O_EXCL) !== 0) return -errnoNumber("EEXIST");
    if (!exists && (flags & O_CREAT) === 0) return -errnoNumber("ENOENT");
    if (!isHere && existing === undefined) {
      const denial = this.#denied(exists ? path : dirname(path));
      if (denial !== 0) return denial;
    }
    this.#observe(call, args, path);
    const content = (flags & O_TRUNC) === 0 ? this.#contentOf(path, existing) : "";
    const mode = existing === undefined ? modeOf(args) : existing.mode;
    return this.#open.add(`fd of ${path}`, this.files.make(path, "file", content, mode), path);
  }

  /** Content of a file before it is written: cgroup.subtree_control keeps the controllers that the host has enabled. */
  #contentOf(path: string, existing: VirtualFile | undefined): string {
    if (existing !== undefined) return existing.content;
    return path.endsWith("/cgroup.subtree_control") ? this.files.readHost(path) : "";
  }

  #openForReading(call: "openat" | "openat2", args: Args, path: string): number {
    const file = this.files.get(path) ?? this.#processFile(path);
    if (file !== undefined) return this.#open.add(`fd of ${path}`, file, path);
    if (path === CGROUP_MOUNT && this.files.assumesCgroups)
      return this.#open.add(`fd of ${path}`, { kind: "directory", content: "" }, path);
    if (this.files.decides(path) || this.#processes.lacks(path)) return -errnoNumber("ENOENT");
    const fd = this.#host(call, this.#processes.onHost(path, args));
    if (fd >= 0) this.#open.leads(fd, path);
    return fd;
  }

  #processFile(path: string): VirtualFile | undefined {
    const content = this.#processes.file(path);
    return content === undefined ? undefined : { kind: "file", content };
  }

  read(args: Args): number {
    const open = this.#open.get(Number(args[0]));
    if (open === undefined) return this.#host("read", args);
    const count = copyPart(open.file, open.offset, bytesOf(args[1]), Number(args[2]));
    open.offset += count;
    return count;
  }

  #write(call: "write" | "pwrite64", args: Args): number {
    const fd = Number(args[0]);
    const open = this.#open.get(fd);
    if (open === undefined) return this.#host(call, args);
    const length = Number(args[2]);
    const bytes = byteText(bytesOf(args[1]).subarray(0, length));
    if (open.file !== undefined) this.#change(open.path, open.file, bytes);
    if (open.path !== "") this.#observe(call, args, open.path);
    return length;
  }

  #change(path: string, file: VirtualFile, bytes: string): void {
    const name = path.slice(path.lastIndexOf("/") + 1);
    if (name === "cgroup.subtree_control") file.content = enabled(file.content, bytes);
    else file.content = this.files.isSetting(path) ? bytes : file.content + bytes;
    const cgroup = dirname(path);
    if (!this.files.isCgroup(cgroup)) return;
    if (name === "cgroup.procs") this.files.enterCgroup(Number(bytes), cgroup);
    if (name === "cgroup.kill") for (const pid of this.files.processesIn(cgroup)) this.end(pid);
  }

  /** Takes a process that has ended out of procfs and of its cgroup. */
  end(pid: number): void {
    this.#processes.end(pid);
    this.files.leaveCgroup(pid);
  }

  #statx(args: Args): number {
    const [directory = null, name = null, flags, mask = null, buffer = null] = args;
    const fd = Number(directory);
    const isDescriptor = (Number(flags) & AT_EMPTY_PATH) !== 0 && textOf(name) === "";
    const open = isDescriptor ? this.#open.get(fd) : undefined;
    if (isDescriptor && open === undefined) return this.#host("statx", args);
    const path = open?.path ?? this.path(directory, name);
    const file = isDescriptor ? open?.file : this.files.get(path);
    const shared = this.#processes.namespaceOnHost(path);
    if (shared !== undefined && this.#host("statx", [AT_FDCWD, cString(shared), 0, mask, buffer]) === 0)
      return 0;
    if (!isDescriptor && file === undefined) {
      return this.files.decides(path) ? -errnoNumber("ENOENT") : this.#host("statx", args);
    }
    fillStatus(bytesOf(buffer), { file, path, owner: this.files.owner });
    return 0;
  }

  #statfs(args: Args): number {
    const path = this.path(AT_FDCWD, args[0]);
    if (this.files.isCgroup(path)) {
      becomeCgroup2(bytesOf(args[1]));
      return 0;
    }
    const isMissing = this.files.decides(path) && this.files.get(path) === undefined;
    if (isMissing && path !== CGROUP_MOUNT) return -errnoNumber("ENOENT");
    const result = this.#host("statfs", args);
    if (path !== CGROUP_MOUNT) return result;
    if (!becomeCgroup2(bytesOf(args[1])) || result !== 0) this.files.assumesCgroups = true;
    return 0;
  }

  #access(args: Args): number {
    const path = this.path(args[0], args[1]);
    if (this.files.get(path) !== undefined) return 0;
    if (this.files.assumesCgroups && path === CGROUP_MOUNT) return 0;
    if (this.files.decides(path)) return -errnoNumber("ENOENT");
    return this.#host("faccessat", [args[0] ?? null, args[1] ?? null, this.#asRoot ? 0 : (args[2] ?? 0)]);
  }

  #readlink(args: Args): number {
    const given = textOf(args[1]);
    const fd = /^\/proc\/self\/fd\/(\d+)$/.exec(given)?.[1];
    const open = fd === undefined ? undefined : this.#open.get(Number(fd));
    const shared = this.#processes.sharedNamespace(given);
    const path = shared ?? given;
    const file = this.files.get(path);
    const target =
      open?.path ?? (file?.kind === "link" ? file.content : undefined) ?? this.#processes.link(path);
    if (target !== undefined) return new TextEncoder().encodeInto(target, bytesOf(args[2])).written;
    if (this.#processes.owns(path)) return -errnoNumber("ENOENT");
    if (fd === undefined && this.files.decides(path))
      return -errnoNumber(file === undefined ? "ENOENT" : "EINVAL");
    return this.#host("readlinkat", [args[0] ?? null, cString(path), args[2] ?? null, args[3] ?? 0]);
  }

  /** Lists a whole directory at the first call, and nothing at the next. */
  #list(args: Args): number {
    const open = this.#open.get(Number(args[0]));
    if (open === undefined) return this.#host("getdents64", args);
    if (open.offset > 0) return 0;
    open.offset = 1;
    return copyEntries(this.files.entriesOf(open.path), bytesOf(args[1]));
  }

  #mkdir(args: Args): number {
    const path = this.path(args[0], args[1]);
    const exists = this.files.get(path) !== undefined || (!this.files.decides(path) && this.#onHost(path, 0));
    if (exists) return -errnoNumber("EEXIST");
    const parent = dirname(path);
    const isAssumed = this.files.assumesCgroups && parent === CGROUP_MOUNT;
    if (!isAssumed && this.files.get(parent)?.kind !== "directory") {
      if (this.files.decides(parent) || !this.#onHost(parent, 0)) return -errnoNumber("ENOENT");
      const denial = this.#denied(parent);
      if (denial !== 0) return denial;
    }
    this.files.make(path, "directory", "", Number(args[2]));
    this.#observe("mkdirat", args, path);
    return 0;
  }

  #unlink(args: Args): number {
    const path = this.path(args[0], args[1]);
    const isHere = this.files.decides(path);
    const file = this.files.get(path);
    if (isHere && file === undefined) return -errnoNumber("ENOENT");
    if (!isHere && !this.#onHost(path, 0)) return -errnoNumber("ENOENT");
    if (file?.kind === "directory") {
      if (args[2] !== AT_REMOVEDIR) return -errnoNumber("EISDIR");
      if (!this.files.isRemovable(path)) return -errnoNumber("ENOTEMPTY");
    }
    this.files.remove(path);
    this.#observe("unlinkat", args, path);
    return 0;
  }

  #changed(call: SyscallName, args: Args): number {
    this.#observe(call, args, this.path(args[0], args[1]));
    return 0;
  }

  /** Returns 0, or the negative errno of a write there by the caller. */
  #denied(path: string): number {
    const W_OK = 2;
    return this.#asRoot ? 0 : this.#host("faccessat", [AT_FDCWD, cString(path), W_OK]);
  }

  #onHost(path: string, mode: number): boolean {
    return this.#host("faccessat", [AT_FDCWD, cString(path), mode]) === 0;
  }

  /** Absolute path of a file, also where a call names it through a descriptor. */
  path(directory: NativeArgument | undefined, name: NativeArgument | undefined): string {
    const text = textOf(name);
    const [, fd, rest = ""] = /^\/proc\/self\/fd\/(\d+)(\/.*)?$/.exec(text) ?? [];
    const base = fd === undefined ? undefined : this.#open.pathOf(Number(fd));
    if (base !== undefined) return `${base}${rest}`;
    if (text.startsWith("/") || Number(directory) === AT_FDCWD) return text;
    return `${this.#open.pathOf(Number(directory)) ?? ""}/${text}`;
  }
}

/** Mode of a new file in the arguments of openat(2); those of openat2(2) have it in `struct open_how`. */
function modeOf(args: Args): number | undefined {
  return typeof args[2] === "number" && typeof args[3] === "number" ? args[3] & 0o777 : undefined;
}
