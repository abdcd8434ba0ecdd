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
import { withPurpose } from "../ffi/purpose.ts";
import { cString, type SyscallNumbers, syscall, trySyscall } from "../ffi/syscall.ts";
import { OwnedDescriptor } from "../linux/owned-descriptor.ts";
import { messageHeader, receiveWithSender } from "../linux/socket-message.ts";
import { setSocketTimeout } from "../linux/socket-timeout.ts";
import { SyscallError } from "../syscall-error.ts";
import { encodeProgram } from "./encode.ts";
import { Program, RegisterAllocator, type Reply } from "./program.ts";
import { decodeProgress, decodeReply, PROGRESS_LENGTH, RESULT_LENGTH } from "./reply.ts";
import { stubImages } from "./stub-image.generated.ts";

const ALL_SEALS =
  F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_EXEC;

/** Name of the memfd, which `/proc/PID/exe` of a waiting init shows. */
export const STUB_NAME = "runts-init";

/** Intercepts the programs for stubs: `explain` records them instead of running them, `--profile` and `--debug` watch them. */
export interface StubTap {
  /** Called in place of spawning a stub, which `spawn` does; returns its pid. */
  spawn(channel: number, spawn: () => number): number;
  /** Returns the program to send in place of another one; undefined sends none. */
  send(channel: StubChannel, program: Program): Program | undefined;
  /** Returns the program that `send` has chosen for another one before. */
  sentAs(program: Program): Program;
  /** Returns the reply to the original program. */
  receive(channel: StubChannel, program: Program, receive: () => Reply): Reply;
}

let tap: StubTap | undefined;

export function tapStubs(by: StubTap | undefined): void {
  tap = by;
}

/** Puts the stub's image into a sealed memfd, so that /proc/PID/exe gives no access to a file of the host (CVE-2019-5736). */
export function openStubImage(): number {
  return withPurpose("", "spawn the stub", makeStubImage);
}

function makeStubImage(): number {
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

/** Decodes base64 without Buffer.from, which the engine compiles at its first use. */
function decodeImage(base64: string): Uint8Array {
  const image = Buffer.allocUnsafe((base64.length * 3) / 4);
  return image.subarray(0, image.write(base64, "base64"));
}

/**
 * Limit for all replies of one stub together. It leaves time for any mount and any copying; by then the runtime's caller has given up
 * anyway.
 */
export const ANSWER_TIMEOUT_S = 300;

/** Two connected stream sockets: ours, with a time limit of ANSWER_TIMEOUT_S, and one for a stub to inherit. Both are close-on-exec. */
export function channelPair(): readonly [ours: number, theirs: number] {
  const ours = new Int32Array(2);
  syscall("socketpair", [AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, new Uint8Array(ours.buffer)]);
  const first = ours[0] ?? -1;
  setSocketTimeout(first, ANSWER_TIMEOUT_S);
  return [first, ours[1] ?? -1];
}

/** Clears close-on-exec, so that the descriptor survives an execve of a child. */
export function keepOnExec(fd: number): void {
  syscall("fcntl", [fd, F_SETFD, 0], ["F_SETFD"]);
}

/** Spawns the stub, with an empty environment, to serve `channel`. Returns its pid. */
export function spawnStub(image: number, channel: number): number {
  return withPurpose("", "spawn the stub", () => {
    const spawn = () => spawnImage(image, channel);
    return tap === undefined ? spawn() : tap.spawn(channel, spawn);
  });
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
  /** The program that was sent in its place. */
  readonly sentAs: Program;
  readonly prologue: number;
  readonly outputLength: number;
  /** Pid of the only process whose reply is accepted. */
  readonly by?: number;
}

/** The socket's time limit is adjusted in steps of at least this. */
const LEAST_CHANGE_MS = 1000;

/** The socket to one stub: sends programs and receives the replies. */
export class StubChannel {
  readonly registers = new RegisterAllocator();
  readonly #socket: OwnedDescriptor;
  readonly #numbers: SyscallNumbers | undefined;
  #sent: SentProgram[] = [];
  /** Time that is left for all replies, and the present time limit of the socket. */
  #patienceMs: number;
  #limitMs = ANSWER_TIMEOUT_S * 1000;

  /** `numbers` are the system call numbers of a stub for another architecture. */
  constructor(fd: number, numbers?: SyscallNumbers, patienceMs = ANSWER_TIMEOUT_S * 1000) {
    this.#socket = new OwnedDescriptor(fd);
    this.#numbers = numbers;
    this.#patienceMs = patienceMs;
  }

  program(): Program {
    return new Program(this.registers);
  }

  /** The socket, to poll. */
  get descriptor(): number {
    return this.#socket.number;
  }

  /** Number of programs that await a reply. */
  get waiting(): number {
    return this.#sent.length;
  }

  /** Sends a program and waits for its reply. */
  run(program: Program): Reply {
    this.send(program);
    return this.receive();
  }

  /** Sends a program without waiting. Replies arrive in the order of the programs. */
  send(program: Program): void {
    const sentAs = tap === undefined ? program : tap.send(this, program);
    if (sentAs === undefined) {
      if (!program.quiet) this.#sent.push({ program, sentAs: program, prologue: 0, outputLength: 0 });
      return;
    }
    const { message, descriptors, prologue, outputLength } = encodeProgram(sentAs, this.#numbers);
    withPurpose("", "send a program to the stub", () => {
      let sent = sendWithDescriptors(this.descriptor, message, descriptors);
      while (sent < message.length) {
        const rest = message.subarray(sent);
        sent += syscall("sendto", [this.descriptor, rest, rest.length, MSG_NOSIGNAL], ["a program"]);
      }
    });
    if (!program.quiet) this.#sent.push({ program, sentAs, prologue, outputLength });
  }

  /**
   * Like receive, for the copy of the reply that the clone of a stub sends: after the clone3(2) in a program both processes run its rest, each on
   * its own channel. Throws SyscallError EPROTO if the bytes come from another process than `pid` (`revealSenders`).
   */
  receiveFromClone(program: Program, pid: number): Reply {
    const sentAs = tap === undefined ? program : tap.sentAs(program);
    this.#sent.push({
      program,
      sentAs,
      prologue: sentAs.descriptors.length,
      outputLength: outputLengthOf(sentAs),
      by: pid,
    });
    return this.receive();
  }

  /** Receives the reply to the oldest program that awaits one. Throws SyscallError, ETIMEDOUT after ANSWER_TIMEOUT_S. */
  receive(): Reply {
    const sent = this.#sent.shift();
    if (sent === undefined) throw new Error("no program is waiting for a reply");
    const receive = () => withPurpose("", "wait for the stub's reply", () => this.#receive(sent));
    return tap === undefined ? receive() : tap.receive(this, sent.program, receive);
  }

  #receive({ sentAs, prologue, outputLength, by }: SentProgram): Reply {
    const operations = prologue + sentAs.operations.length;
    const progress = decodeProgress(this.#read(PROGRESS_LENGTH, by), operations);
    const rest = this.#read(RESULT_LENGTH * progress.ran + outputLength);
    return decodeReply(progress, rest, sentAs, prologue);
  }

  #read(length: number, by?: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const call = by === undefined ? "recvfrom" : "recvmsg";
    let got = 0;
    while (got < length) {
      const part = bytes.subarray(got);
      const count = this.#wait(() =>
        by === undefined
          ? trySyscall(call, this.descriptor, part, part.length, MSG_WAITALL, null, null)
          : receiveFrom(by, this.descriptor, part),
      );
      if (count === -EINTR) continue;
      if (count === -EAGAIN) throw timedOut();
      if (count < 0) throw new SyscallError(call, errnoName(-count), ["the stub"]);
      if (count === 0) throw new SyscallError(call, "EPIPE", ["the stub ended"]);
      got += count;
    }
    return bytes;
  }

  /** Counts the time of all waits, so that a stub that always answers just in time runs out of it, too. */
  #wait(receive: () => number): number {
    if (this.#patienceMs <= 0) throw timedOut();
    if (this.#limitMs - this.#patienceMs >= LEAST_CHANGE_MS) {
      this.#limitMs = this.#patienceMs;
      setSocketTimeout(this.descriptor, this.#limitMs / 1000);
    }
    const began = performance.now();
    const count = receive();
    this.#patienceMs -= performance.now() - began;
    return count;
  }

  /** May be called more than once, for instance by the clean-up after an error. */
  close(): void {
    this.#socket.close();
  }
}

/** Length of all outputs in bytes, as `encodeProgram` lays them out. */
function outputLengthOf({ outputs }: Program): number {
  let length = 0;
  for (const { bytes } of outputs) length += (bytes.length + 7) & ~7;
  return length;
}

function timedOut(): SyscallError {
  return new SyscallError("recvfrom", "ETIMEDOUT", ["the stub"]);
}

/** Receives bytes that have to be sent by one process, as the kernel reports it. */
function receiveFrom(pid: number, socket: number, bytes: Uint8Array): number {
  const { count, sender } = receiveWithSender(socket, bytes);
  if (count > 0 && sender !== pid)
    throw new SyscallError("recvmsg", "EPROTO", ["a reply of another process"]);
  return count;
}

/** sendmsg(2) with SCM_RIGHTS, unix(7). Returns the number of bytes sent. */
export function sendWithDescriptors(
  socket: number,
  message: Uint8Array,
  descriptors: readonly number[],
): number {
  if (descriptors.length === 0) {
    return syscall("sendto", [socket, message, message.length, MSG_NOSIGNAL], ["a message"]);
  }
  const header = messageHeader(message, rightsMessage(descriptors));
  return syscall("sendmsg", [socket, header.bytes, MSG_NOSIGNAL], ["a message"]);
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
