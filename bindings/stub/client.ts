import { EAGAIN, EINTR, EINVAL, errnoName } from "../abi/errno.ts";
import {
  F_ADD_SEALS,
  F_SEAL_EXEC,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  F_SETFD,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  MFD_EXEC,
} from "../abi/fcntl.ts";
import { cmsghdr } from "../abi/layouts.ts";
import {
  AF_UNIX,
  MSG_NOSIGNAL,
  MSG_WAITALL,
  SCM_RIGHTS,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../abi/socket.ts";
import { addressOf, loadLibrary } from "../ffi/koffi.ts";
import { cString, type SyscallNumbers, syscall, trySyscall } from "../ffi/syscall.ts";
import { OwnedDescriptor } from "../linux/owned-descriptor.ts";
import { limitWaiting } from "../linux/socket-timeout.ts";
import { SyscallError } from "../syscall-error.ts";
import { encodeProgram } from "./encode.ts";
import { Program, RegisterAllocator, type Reply } from "./program.ts";
import { stubImages } from "./stub-image.generated.ts";

const ALL_SEALS =
  F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_EXEC;

/** Name of the memfd, which `/proc/PID/exe` of a waiting init shows. */
export const STUB_NAME = "runts-init";

/** Stands between the runtime and its stubs: for telling what they would do, and for measuring what they do. */
export interface StubTap {
  /** Spawns the stub, or doesn't; returns its pid. */
  spawn(channel: number, spawn: () => number): number;
  /** What is sent in place of a program; undefined for nothing. */
  send(channel: StubChannel, program: Program): Program | undefined;
  /** What was sent in place of a program before. */
  sentAs(program: Program): Program;
  /** Gives the reply to the program as it was before `send`. */
  receive(channel: StubChannel, program: Program, receive: () => Reply): Reply;
}

let tap: StubTap | undefined;

export function tapStubs(by: StubTap | undefined): void {
  tap = by;
}

/** Puts the stub's image into a sealed memfd, so that nothing of the host is reachable by /proc/PID/exe (CVE-2019-5736). */
export function openStubImage(): number {
  const image = decodeImage(process.arch === "arm64" ? stubImages.arm64 : stubImages.x64);
  const create = (flags: number) => trySyscall("memfd_create", cString(STUB_NAME), flags);
  let fd = create(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  // MFD_EXEC came with Linux 6.3; before, every memfd was executable.
  if (fd === -EINVAL) fd = create(MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) throw new SyscallError("memfd_create", errnoName(-fd), [STUB_NAME]);
  syscall("write", [fd, image, image.length], [STUB_NAME]);
  if (trySyscall("fcntl", fd, F_ADD_SEALS, ALL_SEALS) < 0) {
    // F_SEAL_EXEC came with Linux 6.3.
    syscall("fcntl", [fd, F_ADD_SEALS, ALL_SEALS & ~F_SEAL_EXEC], ["F_ADD_SEALS"]);
  }
  return fd;
}

/** Buffer.from would do the same; it is a function of the engine's own that is compiled at its first use, which takes longer. */
function decodeImage(base64: string): Uint8Array {
  const image = Buffer.allocUnsafe((base64.length * 3) / 4);
  return image.subarray(0, image.write(base64, "base64"));
}

/**
 * How long the stub may take for a program. As long as any mount or any copying may take, and no longer: whoever called the runtime has
 * given up by then.
 */
export const ANSWER_TIMEOUT_S = 300;

/** Two connected stream sockets: the first close-on-exec and ours, which waits so long and no longer; the second for a stub to inherit. */
export function channelPair(): readonly [ours: number, theirs: number] {
  const ours = new Int32Array(2);
  syscall("socketpair", [AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, new Uint8Array(ours.buffer)]);
  const [first = -1, second = -1] = ours;
  limitWaiting(first, ANSWER_TIMEOUT_S);
  return [first, second];
}

/** Makes a descriptor survive an execve of a child. */
export function keepOnExec(fd: number): void {
  syscall("fcntl", [fd, F_SETFD, 0], ["F_SETFD"]);
}

/** Spawns the stub with an empty environment; it serves `channel`. Returns its pid. */
export function spawnStub(image: number, channel: number): number {
  const spawn = () => spawnImage(image, channel);
  return tap === undefined ? spawn() : tap.spawn(channel, spawn);
}

/** posix_spawn(3) */
function spawnImage(image: number, channel: number): number {
  const spawn = loadLibrary(null).func(
    "int posix_spawn(void *pid, void *path, void *actions, void *attributes, void *argv, void *envp)",
  );
  const pid = new Int32Array(1);
  const name = cString(STUB_NAME);
  const number = cString(String(channel));
  const argv = new BigUint64Array([addressOf(name), addressOf(number), 0n]);
  const errno = Number(
    spawn(
      new Uint8Array(pid.buffer),
      cString(`/proc/self/fd/${image}`),
      null,
      null,
      new Uint8Array(argv.buffer),
      new Uint8Array(8),
    ),
  );
  if (errno !== 0) throw new SyscallError("posix_spawn", errnoName(errno), [STUB_NAME]);
  return pid[0] ?? -1;
}

/** A program that awaits its reply. */
interface SentProgram {
  readonly program: Program;
  /** What has gone out for it. */
  readonly sentAs: Program;
  readonly prologue: number;
  readonly outputLength: number;
}

/** The socket to one stub: sends programs and receives the replies. */
export class StubChannel {
  readonly registers = new RegisterAllocator();
  readonly #socket: OwnedDescriptor;
  readonly #numbers: SyscallNumbers | undefined;
  #sent: SentProgram[] = [];

  /** `numbers` are the system call numbers of the stub's architecture, if it isn't this machine's. */
  constructor(fd: number, numbers?: SyscallNumbers) {
    this.#socket = new OwnedDescriptor(fd);
    this.#numbers = numbers;
  }

  program(): Program {
    return new Program(this.registers);
  }

  /** The socket itself, to wait on. */
  get descriptor(): number {
    return this.#socket.number;
  }

  /** How many programs have got no reply yet. */
  get waiting(): number {
    return this.#sent.length;
  }

  /** Sends a program and waits for its reply. */
  run(program: Program): Reply {
    this.send(program);
    return this.receive();
  }

  /** Sends a program without waiting: replies arrive in the order of the programs. */
  send(program: Program): void {
    const sentAs = tap === undefined ? program : tap.send(this, program);
    if (sentAs === undefined) {
      if (!program.quiet) this.#sent.push({ program, sentAs: program, prologue: 0, outputLength: 0 });
      return;
    }
    const { message, descriptors, prologue, outputLength } = encodeProgram(sentAs, this.#numbers);
    let sent = sendWithDescriptors(this.descriptor, message, descriptors);
    while (sent < message.length) {
      const rest = message.subarray(sent);
      sent += syscall("sendto", [this.descriptor, rest, rest.length, MSG_NOSIGNAL], ["a program"]);
    }
    if (!program.quiet) this.#sent.push({ program, sentAs, prologue, outputLength });
  }

  /**
   * Receives the copy of a reply that a clone of a stub sends: both run the rest of the program that had the clone3(2) in it,
   * each on its own channel.
   */
  receiveFromClone(program: Program): Reply {
    const sentAs = tap === undefined ? program : tap.sentAs(program);
    this.#sent.push({
      program,
      sentAs,
      prologue: sentAs.descriptors.length,
      outputLength: outputLengthOf(sentAs),
    });
    return this.receive();
  }

  /** Receives the reply to the oldest program without one. */
  receive(): Reply {
    const sent = this.#sent.shift();
    if (sent === undefined) throw new Error("no program is waiting for a reply");
    return tap === undefined
      ? this.#receive(sent)
      : tap.receive(this, sent.program, () => this.#receive(sent));
  }

  #receive(sent: SentProgram): Reply {
    const head = new DataView(this.#read(8).buffer);
    const ran = head.getUint32(0, true);
    const errno = head.getUint32(4, true);
    const results = resultsOf(this.#read(8 * ran), sent.prologue);
    const outputBytes = this.#read(sent.outputLength);
    const outputs: Uint8Array[] = [];
    let offset = 0;
    for (const { bytes } of sent.sentAs.outputs) {
      outputs.push(outputBytes.subarray(offset, offset + bytes.length));
      offset += (bytes.length + 7) & ~7;
    }
    return {
      results,
      outputs,
      failure: errno === 0 ? undefined : { index: ran - 1 - sent.prologue, errno },
    };
  }

  #read(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let got = 0;
    while (got < length) {
      const part = bytes.subarray(got);
      const count = trySyscall("recvfrom", this.descriptor, part, part.length, MSG_WAITALL, null, null);
      if (count === -EINTR) continue;
      if (count === -EAGAIN) throw new SyscallError("recvfrom", "ETIMEDOUT", ["the stub"]);
      if (count < 0) throw new SyscallError("recvfrom", errnoName(-count), ["the stub"]);
      if (count === 0) throw new SyscallError("recvfrom", "EPIPE", ["the stub ended"]);
      got += count;
    }
    return bytes;
  }

  /** May be called again, by whoever undoes what was done. */
  close(): void {
    this.#socket.close();
  }
}

/** Bytes of all outputs, as `encodeProgram` lays them out. */
function outputLengthOf({ outputs }: Program): number {
  let length = 0;
  for (const { bytes } of outputs) length += (bytes.length + 7) & ~7;
  return length;
}

/** 64-bit results as numbers, without those of the prologue. Exact up to 2^53, as descriptors, pids and lengths are. */
function resultsOf(bytes: Uint8Array, prologue: number): number[] {
  const low = new Uint32Array(bytes.buffer);
  const high = new Int32Array(bytes.buffer);
  const results: number[] = [];
  for (let word = 2 * prologue; word < low.length; word += 2) {
    results.push((high[word + 1] ?? 0) * 0x1_0000_0000 + (low[word] ?? 0));
  }
  return results;
}

/** sendmsg(2) with SCM_RIGHTS, unix(7). Returns how many bytes went out. */
export function sendWithDescriptors(
  socket: number,
  message: Uint8Array,
  descriptors: readonly number[],
): number {
  if (descriptors.length === 0) {
    return syscall("sendto", [socket, message, message.length, MSG_NOSIGNAL], ["a message"]);
  }
  const control = rightsMessage(descriptors);
  const iovec = new BigUint64Array([addressOf(message), BigInt(message.length)]);
  const header = new BigUint64Array([
    0n,
    0n,
    addressOf(new Uint8Array(iovec.buffer)),
    1n,
    addressOf(control),
    BigInt(control.length),
    0n,
  ]);
  return syscall("sendmsg", [socket, new Uint8Array(header.buffer), MSG_NOSIGNAL], ["a message"]);
}

/** A control message of SCM_RIGHTS, unix(7). */
export function rightsMessage(descriptors: readonly number[]): Uint8Array {
  const control = new Uint8Array(cmsghdr.size + ((4 * descriptors.length + 7) & ~7));
  const view = new DataView(control.buffer);
  view.setBigUint64(cmsghdr.cmsg_len, BigInt(cmsghdr.size + 4 * descriptors.length), true);
  view.setUint32(cmsghdr.cmsg_level, SOL_SOCKET, true);
  view.setUint32(cmsghdr.cmsg_type, SCM_RIGHTS, true);
  descriptors.forEach((fd, index) => {
    view.setInt32(cmsghdr.size + 4 * index, fd, true);
  });
  return control;
}
