import { readFileSync } from "node:fs";
import { errnoNumber } from "../../bindings/abi/errno.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  F_DUPFD_CLOEXEC,
  F_GETFL,
  O_ACCMODE,
  O_CREAT,
  O_EXCL,
  O_TRUNC,
} from "../../bindings/abi/fcntl.ts";
import { NS_GET_NSTYPE } from "../../bindings/abi/ioctl.ts";
import { CLONE_NEWUSER } from "../../bindings/abi/sched.ts";
import type { NativeArgument } from "../../bindings/ffi/koffi.ts";
import { callKernel, cString, type SyscallName } from "../../bindings/ffi/syscall.ts";
import { dirname } from "../../bindings/linux/paths.ts";
import { BPF_PROG_GET_FD_BY_ID, BPF_PROG_LOAD, BPF_PROG_QUERY } from "../cgroup/device-attach.ts";
import { CGROUP_MOUNT } from "../cgroup/files.ts";
import type { Names } from "./names.ts";
import { bytesOf, textOf } from "./native.ts";
import {
  becomeCgroup2,
  callOfThread,
  copyPart,
  DESCRIPTOR_RESULTS,
  enabled,
  fillNumber,
  fillStatus,
  flagsOf,
  makeReadable,
  OWN_BUSINESS,
} from "./simulated-answers.ts";
import { SimulatedNetworks } from "./simulated-networks.ts";
import { SimulatedProcesses } from "./simulated-processes.ts";
import { type VirtualFile, VirtualFiles } from "./virtual-files.ts";

type Args = readonly NativeArgument[];

/** An open file that only this kernel knows of. */
interface Descriptor {
  readonly path: string;
  readonly file: VirtualFile | undefined;
  offset: number;
}

/** Told of each call that would change anything outside of the calling process. */
export type Observer = (call: SyscallName, args: Args, path: string) => void;

/**
 * Answers the runtime's system calls without changing anything. What only looks at the host is asked of the real kernel; what
 * would change something is reported, and seems to have worked from then on.
 */
export class SimulatedKernel {
  readonly files = new VirtualFiles();
  readonly processes: SimulatedProcesses;
  readonly networks: SimulatedNetworks;
  readonly #names: Names;
  readonly #observe: Observer;
  /** For a caller that is not root, whether root's rights are assumed. */
  readonly #asRoot: boolean;
  readonly #open = new Map<number, Descriptor>();
  /** Where real descriptors lead. */
  readonly #realPaths = new Map<number, string>();
  /** Names of memory files, by the descriptors that they were made with. */
  readonly #memoryFiles = new Map<number, string>();
  /** The other ends of socket pairs. */
  readonly peers = new Map<number, number>();
  /** Called when a memory file of this name is made, and when it is closed. */
  onMemoryFile: (name: string, isOpen: boolean) => void = () => undefined;
  onConnect: (path: string) => void = () => undefined;
  /** How many the container's cgroup has that are not of the runtime. */
  devicePrograms = 0;
  /** bpf(2) is for those with rights on the host. */
  deniesBpf = false;

  constructor(names: Names, observe: Observer, asRoot: boolean) {
    this.#names = names;
    this.#observe = observe;
    this.#asRoot = asRoot;
    this.processes = new SimulatedProcesses(names);
    this.networks = new SimulatedNetworks(names, (fd) => this.pathOf(fd));
    this.files.readHost = (path) => {
      try {
        return readFileSync(path, "utf8");
      } catch {
        return "";
      }
    };
  }

  readonly call = (name: SyscallName, args: Args): number => {
    const answer = this.networks.answer(name, args) ?? callOfThread(name, args);
    if (answer !== undefined) return answer;
    const handler = this.#handlers[name];
    if (handler !== undefined) return handler(args);
    if (!OWN_BUSINESS.has(name)) this.#observe(name, args, this.pathOf(Number(args[0])) ?? "");
    return DESCRIPTOR_RESULTS.has(name) ? this.#descriptor(name, undefined) : 0;
  };

  /** Of a descriptor, real or not. */
  pathOf(fd: number): string | undefined {
    return this.#open.get(fd)?.path ?? this.#realPaths.get(fd);
  }

  readonly #handlers: Partial<Record<SyscallName, (args: Args) => number>> = {
    openat: (args) => this.#openFile("openat", args, Number(args[2])),
    openat2: (args) => this.#openFile("openat2", args, flagsOf(bytesOf(args[2]))),
    read: ([fd, buffer, length]) => this.#read(Number(fd), bytesOf(buffer), Number(length)),
    pread64: ([fd, buffer, length, offset]) => {
      const open = this.#open.get(Number(fd));
      if (open === undefined)
        return callKernel("pread64", [fd ?? null, buffer ?? null, length ?? 0, offset ?? 0]);
      return copyPart(open.file, Number(offset), bytesOf(buffer), Number(length));
    },
    write: (args) => this.#write("write", args),
    pwrite64: (args) => this.#write("pwrite64", args),
    close: (args) => this.#close(Number(args[0]), args),
    statx: (args) => this.#statx(args),
    statfs: (args) => this.#statfs(args),
    faccessat: (args) => this.#access(args),
    readlinkat: (args) => this.#readlink(args),
    getdents64: (args) => (this.#open.has(Number(args[0])) ? 0 : callKernel("getdents64", args)),
    mkdirat: (args) => this.#mkdir(args),
    unlinkat: (args) => this.#unlink(args),
    renameat2: (args) => {
      this.#observe("renameat2", args, this.#path(args[0], args[1]));
      this.files.rename(this.#path(args[0], args[1]), this.#path(args[2], args[3]));
      return 0;
    },
    fchmodat: (args) => this.#changed("fchmodat", args),
    fchownat: (args) => this.#changed("fchownat", args),
    memfd_create: (args) => {
      const name = textOf(args[0]);
      this.onMemoryFile(name, true);
      const memory = this.#descriptor(`memory of ${name}`, { kind: "file", content: "" });
      this.#memoryFiles.set(memory, name);
      return memory;
    },
    socketpair: (args) => {
      const pair = [this.#descriptor("channel", undefined), this.#descriptor("channel", undefined)] as const;
      this.peers.set(pair[1], pair[0]);
      const out = bytesOf(args[3]);
      out.set(new Uint8Array(Int32Array.of(...pair).buffer));
      return 0;
    },
    fcntl: ([fd, command, ...rest]) => {
      if (command === F_GETFL) return callKernel("fcntl", [fd ?? -1, command]);
      if (command !== F_DUPFD_CLOEXEC) return 0;
      const open = this.#open.get(Number(fd));
      if (open === undefined) return callKernel("fcntl", [fd ?? -1, command, ...rest]);
      return this.#descriptor(this.#names.named(String(fd)).slice(1, -1), open.file, open.path);
    },
    bind: (args) => {
      const path = this.#addressPath(args);
      const fd = Number(args[0]);
      this.#open.set(fd, { path, file: this.files.make(path, "socket"), offset: 0 });
      this.#names.rename(fd, `socket ${path}`);
      this.#observe("bind", args, path);
      return 0;
    },
    connect: (args) => {
      const path = this.#addressPath(args);
      this.#names.rename(Number(args[0]), `socket to ${path}`);
      this.onConnect(path);
      this.#observe("connect", args, path);
      return 0;
    },
    prlimit64: (args) => {
      if (args[2] === null) return callKernel("prlimit64", [0, args[1] ?? 0, null, args[3] ?? null]);
      if (args[0] !== 0) this.#observe("prlimit64", args, "");
      return 0;
    },
    ppoll: ([entries, count]) => {
      makeReadable(bytesOf(entries));
      return Number(count);
    },
    wait4: (args) => Number(args[0]),
    getrandom: ([buffer]) => fillNumber(bytesOf(buffer), this.#names.descriptor("random number")),
    pidfd_open: (args) =>
      this.#descriptor(`pidfd of ${this.#names.processName(Number(args[0])) ?? args[0]}`, undefined),
    pidfd_send_signal: (args) => {
      // A stub that has done its work is ended, if it has not ended by itself: that is no part of what is done.
      const isStubs = this.#names.named(String(args[0])) === "<pidfd of the stub>";
      if (!isStubs) this.#observe("pidfd_send_signal", args, "");
      return 0;
    },
    // Nobody answers: the end of the stream, which is what a program's success looks like.
    recvfrom: () => 0,
    bpf: (args) => {
      if (this.deniesBpf) return -errnoNumber("EPERM");
      if (Number(args[0]) === BPF_PROG_QUERY) {
        bytesOf(args[1]).set([this.devicePrograms, 0, 0, 0], 24); // prog_cnt
        return 0;
      }
      if (Number(args[0]) === BPF_PROG_GET_FD_BY_ID)
        return this.#descriptor("earlier device program", undefined);
      this.#observe("bpf", args, "");
      return Number(args[0]) === BPF_PROG_LOAD ? this.#descriptor("device program", undefined) : 0;
    },
    ioctl: (args) => {
      if (!this.#names.isDescriptor(Number(args[0]))) return callKernel("ioctl", args);
      return Number(args[1]) === NS_GET_NSTYPE ? CLONE_NEWUSER : 0;
    },
  };

  #openFile(call: "openat" | "openat2", args: Args, flags: number): number {
    const path = this.#path(args[0], args[1]);
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
    return this.#descriptor(`fd of ${path}`, this.files.make(path, "file", content), path);
  }

  /** Controllers are enabled beside those that are so. */
  #contentOf(path: string, existing: VirtualFile | undefined): string {
    if (existing !== undefined) return existing.content;
    return path.endsWith("/cgroup.subtree_control") ? this.files.readHost(path) : "";
  }

  #openForReading(call: "openat" | "openat2", args: Args, path: string): number {
    const file = this.files.get(path) ?? this.#processFile(path);
    if (file !== undefined) return this.#descriptor(`fd of ${path}`, file, path);
    if (path === CGROUP_MOUNT && this.files.assumesCgroups)
      return this.#descriptor(`fd of ${path}`, { kind: "directory", content: "" }, path);
    if (this.files.decides(path) || this.processes.lacks(path)) return -errnoNumber("ENOENT");
    const fd = callKernel(call, this.processes.onHost(path, args));
    if (fd >= 0) this.#realPaths.set(fd, path);
    return fd;
  }

  #processFile(path: string): VirtualFile | undefined {
    const content = this.processes.file(path);
    return content === undefined ? undefined : { kind: "file", content };
  }

  #read(fd: number, buffer: Uint8Array, length: number): number {
    const open = this.#open.get(fd);
    if (open === undefined) return callKernel("read", [fd, buffer, length]);
    const count = copyPart(open.file, open.offset, buffer, length);
    open.offset += count;
    return count;
  }

  #write(call: "write" | "pwrite64", args: Args): number {
    const fd = Number(args[0]);
    const open = this.#open.get(fd);
    if (open === undefined) return callKernel(call, args);
    const length = Number(args[2]);
    const text = new TextDecoder().decode(bytesOf(args[1]).subarray(0, length));
    if (open.file !== undefined) {
      open.file.content = open.path.endsWith("/cgroup.subtree_control")
        ? enabled(open.file.content, text)
        : open.file.content + text;
    }
    if (open.path !== "") this.#observe(call, args, open.path);
    return length;
  }

  #close(fd: number, args: Args): number {
    const open = this.#open.get(fd);
    if (open === undefined) {
      this.#realPaths.delete(fd);
      return callKernel("close", args);
    }
    this.#open.delete(fd);
    const name = this.#memoryFiles.get(fd);
    if (name !== undefined) this.onMemoryFile(name, false);
    this.#memoryFiles.delete(fd);
    return 0;
  }

  #statx(args: Args): number {
    const [directory = null, name = null, flags, mask = null, buffer = null] = args;
    const fd = Number(directory);
    const isDescriptor = (Number(flags) & AT_EMPTY_PATH) !== 0 && textOf(name) === "";
    const path = isDescriptor ? (this.#open.get(fd)?.path ?? "") : this.#path(directory, name);
    const file = isDescriptor ? this.#open.get(fd)?.file : this.files.get(path);
    if (isDescriptor && !this.#open.has(fd)) return callKernel("statx", args);
    const shared = this.processes.namespaceOnHost(path);
    if (shared !== undefined && callKernel("statx", [AT_FDCWD, cString(shared), 0, mask, buffer]) === 0)
      return 0;
    if (!isDescriptor && file === undefined) {
      return this.files.decides(path) ? -errnoNumber("ENOENT") : callKernel("statx", args);
    }
    fillStatus(bytesOf(buffer), file, path);
    return 0;
  }

  #statfs(args: Args): number {
    const path = this.#path(AT_FDCWD, args[0]);
    const result = callKernel("statfs", args);
    if (path !== CGROUP_MOUNT) return result;
    if (!becomeCgroup2(bytesOf(args[1])) || result !== 0) this.files.assumesCgroups = true;
    return 0;
  }

  #access(args: Args): number {
    const path = this.#path(args[0], args[1]);
    if (this.files.get(path) !== undefined) return 0;
    if (this.files.assumesCgroups && path === CGROUP_MOUNT) return 0;
    if (this.files.decides(path)) return -errnoNumber("ENOENT");
    return callKernel("faccessat", [args[0] ?? null, args[1] ?? null, this.#asRoot ? 0 : (args[2] ?? 0)]);
  }

  #readlink(args: Args): number {
    const given = textOf(args[1]);
    const fd = /^\/proc\/self\/fd\/(\d+)$/.exec(given)?.[1];
    const target =
      fd !== undefined && this.#open.has(Number(fd))
        ? this.#open.get(Number(fd))?.path
        : this.processes.link(given);
    if (target === undefined)
      return this.processes.owns(given) ? -errnoNumber("ENOENT") : callKernel("readlinkat", args);
    return new TextEncoder().encodeInto(target, bytesOf(args[2])).written;
  }

  #mkdir(args: Args): number {
    const path = this.#path(args[0], args[1]);
    const exists = this.files.get(path) !== undefined || (!this.files.decides(path) && this.#onHost(path, 0));
    if (exists) return -errnoNumber("EEXIST");
    const parent = dirname(path);
    const isAssumed = this.files.assumesCgroups && parent === CGROUP_MOUNT;
    if (!isAssumed && this.files.get(parent)?.kind !== "directory") {
      if (this.files.decides(parent) || !this.#onHost(parent, 0)) return -errnoNumber("ENOENT");
      const denial = this.#denied(parent);
      if (denial !== 0) return denial;
    }
    this.files.make(path, "directory");
    this.#observe("mkdirat", args, path);
    return 0;
  }

  #unlink(args: Args): number {
    const path = this.#path(args[0], args[1]);
    const isHere = this.files.decides(path);
    if (isHere && this.files.get(path) === undefined) return -errnoNumber("ENOENT");
    if (!isHere && !this.#onHost(path, 0)) return -errnoNumber("ENOENT");
    this.files.remove(path);
    this.#observe("unlinkat", args, path);
    return 0;
  }

  #changed(call: SyscallName, args: Args): number {
    this.#observe(call, args, this.#path(args[0], args[1]));
    return 0;
  }

  /** 0, or the negative errno that a caller without root's rights gets for writing there. */
  #denied(path: string): number {
    const W_OK = 2;
    if (this.#asRoot) return 0;
    return callKernel("faccessat", [AT_FDCWD, new TextEncoder().encode(`${path}\0`), W_OK]);
  }

  #onHost(path: string, mode: number): boolean {
    return callKernel("faccessat", [AT_FDCWD, new TextEncoder().encode(`${path}\0`), mode]) === 0;
  }

  /** Where `struct sockaddr_un` leads. */
  #addressPath(args: Args): string {
    return this.#path(AT_FDCWD, bytesOf(args[1]).subarray(2));
  }

  /** Absolute, and not by way of a descriptor. */
  #path(directory: NativeArgument | undefined, name: NativeArgument | undefined): string {
    const text = textOf(name);
    const [, fd, rest = ""] = /^\/proc\/self\/fd\/(\d+)(\/.*)?$/.exec(text) ?? [];
    const base = fd === undefined ? undefined : this.pathOf(Number(fd));
    if (base !== undefined) return `${base}${rest}`;
    if (text.startsWith("/") || Number(directory) === AT_FDCWD) return text;
    return `${this.pathOf(Number(directory)) ?? ""}/${text}`;
  }

  #descriptor(name: string, file: VirtualFile | undefined, path = ""): number {
    const fd = this.#names.descriptor(name);
    this.#open.set(fd, { path, file, offset: 0 });
    return fd;
  }

  /** A descriptor that stands for something that create is given. */
  given(name: string): number {
    return this.#descriptor(name, undefined);
  }
}
