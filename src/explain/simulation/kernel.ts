import { readFileSync } from "node:fs";
import { BPF_PROG_GET_FD_BY_ID, BPF_PROG_LOAD, BPF_PROG_QUERY } from "../../../bindings/abi/bpf.ts";
import { EAGAIN, errnoNumber } from "../../../bindings/abi/errno.ts";
import { AT_FDCWD, F_DUPFD_CLOEXEC, F_GETFL } from "../../../bindings/abi/fcntl.ts";
import { NS_GET_NSTYPE } from "../../../bindings/abi/ioctl.ts";
import { signalfd_siginfo } from "../../../bindings/abi/layouts.ts";
import { CLONE_NEWUSER } from "../../../bindings/abi/sched.ts";
import { SIGCHLD, SIGKILL } from "../../../bindings/abi/signal.ts";
import type { NativeArgument } from "../../../bindings/ffi/koffi.ts";
import { callKernel, type Kernel, type SyscallName } from "../../../bindings/ffi/syscall.ts";
import { lengthOfMessage } from "../messages.ts";
import type { Names } from "../names.ts";
import { bytesOf, textOf } from "../native.ts";
import { DESCRIPTOR_RESULTS, fillNumber, makeReadable, OF_CALLER, SIDE_EFFECT_FREE } from "./answers.ts";
import { type Observer, SimulatedFiles } from "./files.ts";
import { SimulatedNetworks } from "./networks.ts";
import { OpenFiles } from "./open-files.ts";
import { SimulatedProcesses } from "./processes.ts";
import type { VirtualFiles } from "./virtual-files.ts";

type Args = readonly NativeArgument[];

/**
 * Answers the runtime's system calls without changing anything. Calls that only look at the host go to `host`, the real kernel by default;
 * calls that would change something are reported, and seem to have worked from then on.
 */
export class SimulatedKernel {
  readonly files: VirtualFiles;
  readonly processes: SimulatedProcesses;
  readonly networks: SimulatedNetworks;
  readonly open: OpenFiles;
  readonly #fileCalls: SimulatedFiles;
  readonly #names: Names;
  readonly #observe: Observer;
  readonly #host: Kernel;
  /** The first ends of socket pairs, by the second ones. */
  readonly peers = new Map<number, number>();
  /** Processes by their pidfds. */
  readonly #pidfds = new Map<number, number>();
  /** Pending signals, by the descriptors that deliver them. signalfd(2) */
  readonly #signals = new Map<number, number[]>();
  /** Called before a socket is connected. */
  onConnect: (path: string) => void = () => undefined;
  /**
   * Delivers what a socket has received to a buffer, or to where `struct msghdr` points. Returns the number of bytes; undefined if nothing
   * was sent.
   */
  onReceive: (fd: number, buffer: Uint8Array, call: "recvfrom" | "recvmsg") => number | undefined = () =>
    undefined;
  /** Number of device programs on the container's cgroup that are not the runtime's. */
  devicePrograms = 0;
  /** Whether the caller lacks the rights on the host that bpf(2) needs. */
  deniesBpf = false;

  /** `asRoot`: whether to assume root's rights for a caller who is not root. */
  constructor(names: Names, observe: Observer, asRoot: boolean, host: Kernel = callKernel) {
    this.#names = names;
    this.#observe = observe;
    this.#host = host;
    this.open = new OpenFiles(names);
    this.processes = new SimulatedProcesses(names);
    this.networks = new SimulatedNetworks(names, (fd) => this.pathOf(fd));
    const { open, processes } = this;
    this.#fileCalls = new SimulatedFiles({ host, observe, asRoot, open, processes });
    this.files = this.#fileCalls.files;
    processes.cgroupOf = (pid) => this.files.cgroupOf(pid);
    this.files.readHost = (path) => {
      try {
        return readFileSync(path, "utf8");
      } catch {
        return "";
      }
    };
  }

  readonly call = (name: SyscallName, args: Args): number => {
    if (OF_CALLER.has(name)) return this.#host(name, args);
    const handler = this.#handlers[name] ?? this.#fileCalls.handlers[name];
    if (handler !== undefined) return handler(args);
    if (!SIDE_EFFECT_FREE.has(name)) this.#observe(name, args, this.pathOf(Number(args[0])) ?? "");
    return DESCRIPTOR_RESULTS.has(name) ? this.open.add(name, undefined) : 0;
  };

  /** Path that a descriptor, real or simulated, was opened at. */
  pathOf(fd: number): string | undefined {
    return this.open.pathOf(fd);
  }

  readonly #handlers: Partial<Record<SyscallName, (args: Args) => number>> = {
    close: (args) => this.#close(Number(args[0]), args),
    memfd_create: (args) => {
      const name = textOf(args[0]);
      return this.open.add(`memory of ${name}`, { kind: "file", content: "" });
    },
    socketpair: (args) => {
      const pair = [this.open.add("channel", undefined), this.open.add("channel", undefined)] as const;
      this.peers.set(pair[1], pair[0]);
      const out = bytesOf(args[3]);
      out.set(new Uint8Array(Int32Array.of(...pair).buffer));
      return 0;
    },
    fcntl: ([fd, command, ...rest]) => {
      if (command === F_GETFL) return this.#host("fcntl", [fd ?? -1, command]);
      if (command !== F_DUPFD_CLOEXEC) return 0;
      const open = this.open.get(Number(fd));
      if (open === undefined) return this.#host("fcntl", [fd ?? -1, command, ...rest]);
      return this.open.add(this.#names.named(String(fd)).slice(1, -1), open.file, open.path);
    },
    bind: (args) => {
      const path = this.#addressPath(args);
      const fd = Number(args[0]);
      this.open.replace(fd, path, this.files.make(path, "socket"));
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
      if (args[2] === null) return this.#host("prlimit64", [0, args[1] ?? 0, null, args[3] ?? null]);
      if (args[0] !== 0) this.#observe("prlimit64", args, "");
      return 0;
    },
    signalfd4: () => {
      const fd = this.open.add("signals", undefined);
      this.#signals.set(fd, [SIGCHLD]);
      return fd;
    },
    read: (args) => this.#readSignal(args) ?? this.#fileCalls.read(args),
    ppoll: ([entries]) => {
      // SIGCHLD arrives before the pidfd of a child becomes readable.
      const waits = (fd: number) => (this.#signals.get(fd)?.length ?? 0) > 0;
      return makeReadable(bytesOf(entries), waits) || makeReadable(bytesOf(entries));
    },
    // The child has ended with exit code 0: the buffer of the status is zeroed.
    wait4: ([pid]) => {
      this.#fileCalls.end(Number(pid));
      return Number(pid);
    },
    getrandom: ([buffer]) => fillNumber(bytesOf(buffer), this.#names.descriptor("random number")),
    pidfd_open: ([pid]) => {
      const name = this.#names.processName(Number(pid));
      if (this.processes.hasEnded(Number(pid))) return -errnoNumber("ESRCH");
      const pidfd = this.open.add(`pidfd of ${name ?? pid}`, undefined);
      this.#pidfds.set(pidfd, Number(pid));
      return pidfd;
    },
    pidfd_send_signal: (args) => {
      const pidfd = Number(args[0]);
      // The end of a stub that has done its work is not reported: it may have ended by itself.
      const isStubs = this.#names.named(String(pidfd)) === "<pidfd of the stub>";
      if (!isStubs) this.#observe("pidfd_send_signal", args, "");
      const pid = this.#pidfds.get(pidfd);
      if (args[1] === SIGKILL && pid !== undefined) this.#fileCalls.end(pid);
      return 0;
    },
    // By default the stream has ended, which is how a successful execve shows.
    recvfrom: ([fd, buffer]) => this.onReceive(Number(fd), bytesOf(buffer), "recvfrom") ?? 0,
    recvmsg: ([fd, header]) =>
      this.networks.receive(bytesOf(header)) ?? this.onReceive(Number(fd), bytesOf(header), "recvmsg") ?? 0,
    sendto: ([, , length]) => Number(length),
    sendmsg: ([, header]) => lengthOfMessage(bytesOf(header)),
    bpf: (args) => {
      if (this.deniesBpf) return -errnoNumber("EPERM");
      if (Number(args[0]) === BPF_PROG_QUERY) {
        bytesOf(args[1]).set([this.devicePrograms, 0, 0, 0], 24); // prog_cnt
        return 0;
      }
      if (Number(args[0]) === BPF_PROG_GET_FD_BY_ID)
        return this.open.add("earlier device program", undefined);
      this.#observe("bpf", args, "");
      return Number(args[0]) === BPF_PROG_LOAD ? this.open.add("device program", undefined) : 0;
    },
    ioctl: (args) => {
      if (!this.#names.isDescriptor(Number(args[0]))) return this.#host("ioctl", args);
      return Number(args[1]) === NS_GET_NSTYPE ? CLONE_NEWUSER : 0;
    },
  };

  /** Reads a pending signal; returns undefined for a descriptor that is not a signalfd. */
  #readSignal([fd, buffer]: Args): number | undefined {
    const signals = this.#signals.get(Number(fd));
    if (signals === undefined) return undefined;
    const signal = signals.shift();
    if (signal === undefined) return -EAGAIN;
    fillNumber(bytesOf(buffer).subarray(signalfd_siginfo.ssi_signo), signal);
    return signalfd_siginfo.size;
  }

  #close(fd: number, args: Args): number {
    if (!this.open.close(fd)) return this.#host("close", args);
    this.#pidfds.delete(fd);
    this.#signals.delete(fd);
    return 0;
  }

  /** Path in `struct sockaddr_un`. */
  #addressPath(args: Args): string {
    return this.#fileCalls.path(AT_FDCWD, bytesOf(args[1]).subarray(2));
  }

  /** Makes a descriptor that stands for one which the caller of create would pass. */
  given(name: string): number {
    return this.open.add(name, undefined);
  }
}
