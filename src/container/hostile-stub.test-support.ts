import { closeSync, readFileSync } from "node:fs";
import { F_DUPFD_CLOEXEC, O_ACCMODE } from "../../bindings/abi/fcntl.ts";
import { PR_SET_NAME } from "../../bindings/abi/prctl.ts";
import { MSG_DONTWAIT, MSG_NOSIGNAL, SO_RCVTIMEO } from "../../bindings/abi/socket.ts";
import type { NativeArgument } from "../../bindings/ffi/koffi.ts";
import {
  callKernel,
  onKernel,
  type SyscallName,
  substituteKernel,
  syscall,
} from "../../bindings/ffi/syscall.ts";
import { pidfdOpen } from "../../bindings/linux/pidfd.ts";
import { killAndReap } from "../../bindings/linux/reap.ts";
import {
  channelPair,
  keepOnExec,
  openStubImage,
  STUB_NAME,
  StubChannel,
  spawnStub,
  tapStubs,
} from "../../bindings/stub/client.ts";
import { data, type Program } from "../../bindings/stub/program.ts";

/**
 * Puppets in place of the stub and its clone: the runtime gets processes that do only what the test says, with the runtime's own ends of
 * the sockets. The test records what the runtime does to processes.
 */

/** A child of this process, as a stub is, which sends the bytes that the test gives it. */
export class Puppet {
  readonly pid: number;
  readonly #channel: StubChannel;

  constructor(name = STUB_NAME) {
    const image = openStubImage();
    const [ours, theirs] = channelPair();
    keepOnExec(theirs);
    this.pid = spawnStub(image, theirs);
    for (const fd of [image, theirs]) closeSync(fd);
    this.#channel = new StubChannel(ours);
    const program = this.#channel.program();
    program.do("prctl", [PR_SET_NAME, name, 0, 0, 0]);
    this.#channel.run(program);
  }

  say(to: number, bytes: Uint8Array): void {
    const program = this.#channel.program();
    const socket = program.descriptor(to);
    if (bytes.length > 0) program.do("sendto", [socket, data(bytes), bytes.length, MSG_NOSIGNAL, 0, 0]);
    program.do("close", [socket]);
    this.#channel.run(program);
  }

  get isAlive(): boolean {
    const pidfd = pidfdOpen(this.pid);
    if (pidfd === undefined) return false;
    closeSync(pidfd);
    return true;
  }

  /** The settings that a runtime could have changed if it took the puppet for its clone. */
  get settings(): string {
    const limits = readFileSync(`/proc/${this.pid}/limits`, "latin1");
    return `${readFileSync(`/proc/${this.pid}/oom_score_adj`, "latin1")}${limits}`;
  }

  end(): void {
    this.#channel.close();
    killAndReap(this.pid);
  }
}

/** The puppets, and the function that answers for them. */
export interface Hostility {
  readonly parent: Puppet;
  readonly clone: Puppet;
  /** Called with each program that goes to the parent, and then with each that goes to the clone. */
  readonly answer: (program: Program, channel: "parent" | "clone") => void;
}

/** How long the runtime waits for a part of an answer here; minutes otherwise. */
const PATIENCE_MS = 30;

/** Replaces the runtime's stubs by the puppets, from now on. */
export class HostileStubs {
  /** Pids of the processes that the runtime has changed. */
  readonly targets = new Set<number>();
  /** Bytes of the longest answer that the runtime has made room for. */
  longest = 0;
  /** The runtime's ends of the two sockets, and the stubs' ends. */
  readonly #runtimes: number[] = [];
  readonly #ends: number[] = [];
  readonly #hangingUp = new Set<"parent" | "clone">();
  readonly #pidfds = new Map<number, number>();
  /** Calls on processes have an effect on these only. */
  readonly #own: readonly number[];

  constructor({ parent, clone, answer }: Hostility) {
    this.#own = [parent.pid, clone.pid];
    tapStubs({
      // The stub itself is never started: its ends of the sockets stay here.
      spawn: () => parent.pid,
      send: (channel, program) => {
        const of = (["parent", "clone"] as const)[this.#runtimes.indexOf(channel.descriptor)];
        if (of !== undefined) onTheSide(() => answer(program, of));
        return program;
      },
      sentAs: (program) => program,
      receive: (_channel, _program, receive) => receive(),
    });
    substituteKernel((name, args) => this.#watch(name, args));
  }

  /** The socket end that the parent, or the clone, would have. */
  end(of: "parent" | "clone"): number {
    return this.#ends[of === "parent" ? 0 : 1] ?? -1;
  }

  /** Closes the end as soon as the program that is about to be sent is sent. */
  hangUp(of: "parent" | "clone"): void {
    this.#hangingUp.add(of);
  }

  #close(of: "parent" | "clone"): void {
    const index = of === "parent" ? 0 : 1;
    const fd = this.#ends[index] ?? -1;
    this.#ends[index] = -1;
    if (fd < 0) return;
    // Data that nobody reads would reset the connection.
    const rest = new Uint8Array(1 << 16);
    while (callKernel("recvfrom", [fd, rest, rest.length, MSG_DONTWAIT, null, null]) > 0);
    closeSync(fd);
  }

  stop(): void {
    tapStubs(undefined);
    substituteKernel(undefined);
    for (const of of ["parent", "clone"] as const) this.#close(of);
  }

  #watch(name: SyscallName, args: readonly NativeArgument[]): number {
    const target = this.#targetOf(name, args);
    if (target !== undefined) {
      this.targets.add(target);
      if (!this.#own.includes(target)) return 0;
    }
    const result = callKernel(name, impatient(name, args));
    if (name === "socketpair" && this.#ends.length < 2) this.#keepEnds(args[3]);
    if (name === "sendto" || name === "sendmsg") for (const of of this.#hangingUp) this.#close(of);
    if (name === "recvfrom") this.longest = Math.max(this.longest, Number(args[2]));
    if (name === "pidfd_open") this.#pidfds.set(result, Number(args[0]));
    if (name === "wait4" && result > 0) this.targets.add(result);
    return result;
  }

  /** The process that a call changes. */
  #targetOf(name: SyscallName, args: readonly NativeArgument[]): number | undefined {
    switch (name) {
      case "pidfd_send_signal":
        return this.#pidfds.get(Number(args[0])) ?? -1;
      case "kill":
        return Number(args[0]);
      case "prlimit64":
        return Number(args[0]) === 0 ? undefined : Number(args[0]);
      case "openat":
        return writtenTo(args);
      default:
        return undefined;
    }
  }

  #keepEnds(pair: NativeArgument | undefined): void {
    if (!(pair instanceof Uint8Array)) return;
    const [ours = -1, theirs = -1] = new Int32Array(pair.buffer, pair.byteOffset, 2);
    this.#runtimes.push(ours);
    this.#ends.push(callKernel("fcntl", [theirs, F_DUPFD_CLOEXEC, 3]));
  }
}

/** Returns the pid of the procfs file that is opened for writing. */
function writtenTo([, path, flags]: readonly NativeArgument[]): number | undefined {
  if (!(path instanceof Uint8Array) || (Number(flags) & O_ACCMODE) === 0) return undefined;
  const pid = /^\/proc\/(\d+)\//.exec(Buffer.from(path).toString("latin1"))?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/** Does something that is not watched. */
function onTheSide(action: () => void): void {
  onKernel(action);
}

/** Shortens the time of a call that waits long, or sets how long to wait. */
function impatient(name: SyscallName, args: readonly NativeArgument[]): readonly NativeArgument[] {
  const isLimit = name === "setsockopt" && args[2] === SO_RCVTIMEO;
  const place = isLimit ? 3 : 2;
  const given = args[place];
  if (!(given instanceof Uint8Array) || !(isLimit || name === "ppoll")) return args;
  const [seconds = 0n] = new BigInt64Array(given.buffer, given.byteOffset, 1);
  // A wait for the end of a process, as in killAndReap, is short anyway, and keeps its time.
  if (seconds <= 10n) return args;
  const parts = BigInt64Array.of(0n, BigInt(PATIENCE_MS * (isLimit ? 1000 : 1_000_000)));
  return args.map((argument, index) => (index === place ? new Uint8Array(parts.buffer) : argument));
}

/** A reply of stub.c: results, with what the outputs hold. */
export function replyBytes(
  { descriptors, operations, outputs }: Program,
  results: ReadonlyMap<number, bigint>,
  fill: ReadonlyMap<Uint8Array, Uint8Array> = new Map(),
): Uint8Array {
  const prologue = descriptors.length;
  const values = new BigInt64Array(prologue + operations.length);
  for (const [index, value] of results) values[prologue + index] = value;
  const parts = outputs.map(({ bytes }) => {
    const part = Buffer.alloc((bytes.length + 7) & ~7);
    part.set(fill.get(bytes) ?? new Uint8Array());
    return part;
  });
  const head = Uint32Array.of(values.length, 0);
  return Buffer.concat([new Uint8Array(head.buffer), new Uint8Array(values.buffer), ...parts]);
}

export function sendRaw(fd: number, bytes: Uint8Array): void {
  if (fd >= 0 && bytes.length > 0) syscall("sendto", [fd, bytes, bytes.length, MSG_NOSIGNAL]);
}
