import {
  AT_FDCWD,
  CLOSE_RANGE_CLOEXEC,
  F_DUPFD,
  O_CLOEXEC,
  O_DIRECTORY,
  O_RDONLY,
  O_RDWR,
} from "../../../bindings/abi/fcntl.ts";
import { AF_UNIX, SHUT_WR, SOCK_CLOEXEC, SOCK_SEQPACKET } from "../../../bindings/abi/socket.ts";
import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { trySyscall } from "../../../bindings/ffi/syscall.ts";
import { closeSync, openSync } from "../../../bindings/linux/files.ts";
import { receiveDescriptor, receiveMessage } from "../../../bindings/linux/receive-descriptor.ts";
import { channelPair, sendWithDescriptors } from "../../../bindings/stub/client.ts";
import { at, type Program, type Register } from "../../../bindings/stub/program.ts";
import { SyscallError } from "../../../bindings/syscall-error.ts";
import {
  type CriuRequest,
  type CriuResponse,
  type CriuVersion,
  decodeResponse,
  encodeRequest,
  type Feature,
} from "../../criu/messages.ts";
import { RuntsError } from "../../errors.ts";
import { operationError, receiveReply } from "../../init/run-program.ts";
import { type PendingProcess, spawnProcess } from "../../init/spawn-process.ts";
import { execProgram } from "../../plan/process/exec.ts";
import { sendDescriptor } from "../../plan/send-descriptor.ts";
import { inheritedNofile, inspectCaller } from "../caller/caller.ts";
import { readFailure } from "../process/exec-result.ts";
import { findProgram, searchPath } from "../process/find-program.ts";

export interface CriuSpawn {
  /** Its absolute path, or its name in PATH. */
  readonly program: string | undefined;
  /** Whether criu gets the runtime's standard streams, which a restored container shall have; otherwise it gets /dev/null. */
  readonly inheritsStdio: boolean;
  /** Directory of the cgroup to start in, open. */
  readonly cgroup: number | undefined;
  /** Plans operations for the stub before it becomes criu. With it, the stub gets a mount namespace of its own. */
  readonly prepare?: (program: Program) => void;
  /** Directories that the stub opens, in its mount namespace. */
  readonly directories: readonly string[];
  /** Descriptors to hand over as copies. */
  readonly descriptors: readonly number[];
  /** Standard streams to hand over as copies: criu closes what it is handed over, and looks at its own later. */
  readonly streams: readonly number[];
}

/** Called for each step that criu reports, such as `setup-namespaces`, with the descriptor that came along. criu(8), --action-script */
export type Notified = (script: string, pid: number, descriptor: number | undefined) => void;

/** Known messages have at most some hundred bytes. */
const LONGEST_MESSAGE = 64 * 1024;

/**
 * `criu swrk FD`: criu as a child that serves one connection, https://criu.org/RPC. It is started by a stub like every other process,
 * so that what it restores is a child of the runtime, in the right cgroup, and holds no descriptor of the host.
 */
export class CriuProcess {
  readonly pid: number;
  /** The numbers that the directories, descriptors and streams have in criu; negative for a stream that is closed. */
  readonly directories: readonly number[];
  readonly descriptors: readonly number[];
  readonly streams: readonly number[];
  readonly #socket: number;
  #ended = false;

  constructor(spawn: CriuSpawn) {
    const path = findCriu(spawn.program);
    const pending = spawnStub(spawn);
    try {
      this.pid = pending.finish().pid;
      const { socket, numbers } = execute(pending, path, spawn);
      this.#socket = socket;
      const streamsAt = spawn.directories.length + spawn.descriptors.length;
      this.directories = numbers.slice(0, spawn.directories.length);
      this.descriptors = numbers.slice(spawn.directories.length, streamsAt);
      this.streams = numbers.slice(streamsAt);
    } finally {
      pending.close();
    }
  }

  /** Asks for the version. criu tells it since 3.0; an older criu is an error. */
  version(): CriuVersion {
    const version = this.#ask({ type: "VERSION", keepOpen: true })?.version;
    if (version !== undefined && version.number >= OLDEST) return version;
    const found = version === undefined ? "the one that is installed is older" : `this is ${version.text}`;
    throw criuError(`criu is too old: version 3.0 or later is needed, ${found}`);
  }

  /** Throws if criu, or the kernel that it runs on, lacks one of the features. */
  require(...features: readonly Feature[]): void {
    const found = this.#ask({ type: "FEATURE_CHECK", keepOpen: true, features })?.features;
    for (const feature of features) if (found?.has(feature) !== true) throw criuError(MISSING[feature]);
  }

  #ask(request: CriuRequest): CriuResponse | undefined {
    return this.run(request, () => undefined);
  }

  /**
   * Sends a request and gives the answer, undefined if criu ends without one. When a notification fails, criu is told so, and
   * undoes what it has done so far; the error is thrown once it has.
   */
  run(request: CriuRequest, notified: Notified): CriuResponse | undefined {
    let failure: unknown;
    this.#send(encodeRequest(request));
    for (;;) {
      const received = this.#receive();
      if (received === undefined || received.response.type !== "NOTIFY") {
        if (failure !== undefined) throw failure;
        return received?.response;
      }
      const { response, descriptor } = received;
      try {
        if (failure === undefined)
          notified(response.notify?.script ?? "", response.notify?.pid ?? 0, descriptor);
      } catch (error) {
        failure = error;
      }
      if (descriptor !== undefined) closeSync(descriptor);
      this.#send(encodeRequest({ type: "NOTIFY", notifySuccess: failure === undefined }));
    }
  }

  #send(message: Uint8Array): void {
    try {
      withPurpose("", "send a message to criu", () => sendWithDescriptors(this.#socket, message, []));
    } catch (error) {
      // The end of criu is seen where its answer is awaited.
      if (!(error instanceof SyscallError) || error.errno !== "EPIPE") throw error;
    }
  }

  #receive(): { readonly response: CriuResponse; readonly descriptor: number | undefined } | undefined {
    try {
      const { bytes, descriptor } = receiveMessage(this.#socket, new Uint8Array(LONGEST_MESSAGE));
      return bytes.length === 0 ? undefined : { response: decodeResponse(bytes), descriptor };
    } catch (error) {
      if (error instanceof SyscallError && error.errno === "ECONNRESET") return undefined;
      throw error;
    }
  }

  /** Lets criu end. Returns its wait status: wait(2). */
  end(): number {
    if (this.#ended) return 0;
    this.#ended = true;
    trySyscall("shutdown", this.#socket, SHUT_WR);
    const status = new Int32Array(1);
    trySyscall("wait4", this.pid, new Uint8Array(status.buffer), 0, null);
    closeSync(this.#socket);
    return status[0] ?? 0;
  }
}

/** 3.0, the first that tells its version. */
const OLDEST = 30000;

const MISSING: Readonly<Record<Feature, string>> = {
  memTrack:
    "criu is missing features: MemTrack: --pre-dump and --parent-path need a kernel that tracks changed memory (CONFIG_MEM_SOFT_DIRTY)",
  lazyPages:
    "criu is missing features: LazyPages: --lazy-pages needs userfaultfd of the kernel (CONFIG_USERFAULTFD)",
};

function criuError(message: string): RuntsError {
  return new RuntsError(message, { operation: "criu", path: "criu" });
}

function findCriu(given = "criu"): string {
  const path = given.startsWith("/") ? given : findProgram(given);
  if (path !== undefined) return path;
  throw new RuntsError(
    `${given} is not installed: checkpoint and restore are done by it (apt-get install criu)`,
    { operation: "criu", errno: "ENOENT", path: given },
  );
}

function spawnStub({ cgroup, prepare }: CriuSpawn): PendingProcess {
  return spawnProcess({
    ...(prepare !== undefined && { namespaces: { created: new Set(["mount"]), joined: new Map() } }),
    cgroup,
    keepFds: 0,
    ignoredSignals: inspectCaller().ignoredSignals,
    privileged: true,
  });
}

interface Started {
  /** The runtime's end of the connection. */
  readonly socket: number;
  /** Numbers of the directories, the descriptors and the streams, in this order. */
  readonly numbers: readonly number[];
}

/** Prepares the stub for criu, and has it execute criu. */
function execute(pending: PendingProcess, path: string, spawn: CriuSpawn): Started {
  const { channel } = pending;
  const program = channel.program();
  const [receiving, sending] = channelPair();
  const devNull = spawn.inheritsStdio ? undefined : openSync("/dev/null", O_RDWR);
  spawn.prepare?.(program);
  program.about("", "prepare criu");
  if (devNull !== undefined) takeStdio(program, devNull);
  const connection = openConnection(program, program.descriptor(sending));
  const directories = spawn.directories.map((directory) => {
    program.about("", `open ${directory}`);
    return program.call("openat", [AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0]);
  });
  const descriptors = spawn.descriptors.map((fd) => program.descriptor(fd));
  const kept = [connection, ...directories, ...descriptors].map((fd) => keepAtExec(program, fd));
  for (const fd of spawn.streams) kept.push(copyStream(program, fd));
  program.do("chdir", ["/"]);
  channel.send(program);
  for (const fd of [sending, devNull ?? -1]) if (fd >= 0) closeSync(fd);
  try {
    const { results } = receiveReply(channel, program);
    const [connected = -1, ...numbers] = kept.map((index) => results[index] ?? -1);
    becomeCriu(pending, path, connected, numbers);
    return { socket: receiveDescriptor(receiving), numbers };
  } finally {
    closeSync(receiving);
  }
}

/**
 * The connection's two ends are made by the process that becomes criu, which looks up the descriptors of a request in whoever made
 * them: a mount namespace of its own has no use for directories that are open in another one.
 */
function openConnection(program: Program, to: Register): Register {
  const pair = program.output(8);
  program.do("socketpair", [AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair]);
  const [theirs, ours] = [0, 4].map((offset) => program.call("load", [at(pair, offset), 4]));
  if (theirs === undefined || ours === undefined) throw new Error("a pair has two ends");
  sendDescriptor(program, ours, { socket: to, text: "criu", path: "the runtime" });
  program.do("close", [ours]);
  program.do("close", [to]);
  return theirs;
}

const ABOVE_STDIO = 3;

/** Returns the index of the operation whose result is the number of a copy that stays open at execve. */
function keepAtExec(program: Program, fd: Register): number {
  const index = program.operations.length;
  program.do("fcntl", [fd, F_DUPFD, ABOVE_STDIO]);
  program.do("close", [fd]);
  return index;
}

function copyStream(program: Program, fd: number): number {
  const index = program.operations.length;
  program.do("fcntl", [fd, F_DUPFD, ABOVE_STDIO], { tolerate: ["EBADF"] });
  return index;
}

function becomeCriu(
  { channel }: PendingProcess,
  path: string,
  connection: number,
  numbers: readonly number[],
): void {
  const program = channel.program();
  const kept = [connection, ...numbers.filter((number) => number >= ABOVE_STDIO)];
  closeOthers(program, kept);
  execProgram(
    program,
    { cwd: "/", args: ["criu", "swrk", String(connection)] },
    {
      listener: undefined,
      path,
      env: [`PATH=${searchPath()}`],
      keepFds: Math.max(...kept) - 2,
      gaps: [],
      inheritedNofile: inheritedNofile(),
      seccomp: undefined,
    },
  );
  channel.send(program);
  const { descriptors, operations } = program;
  const failed = readFailure(channel.descriptor, descriptors.length + operations.length);
  if (failed === undefined) return;
  throw operationError({ call: "execve", pointer: "", purpose: "start criu", path }, failed.errno);
}

/** One descriptor for all three standard streams. */
function takeStdio(program: Program, fd: number): void {
  const received = program.descriptor(fd);
  for (const target of [0, 1, 2]) program.do("dup3", [received, target, 0]);
  program.do("close", [received]);
}

/** Closes at execve all descriptors between those that criu keeps; the stub's channel is one of them. */
function closeOthers(program: Program, kept: readonly number[]): void {
  program.about("", "close all descriptors but criu's own at execve");
  let next = 3;
  for (const number of kept.toSorted((a, b) => a - b)) {
    if (number > next) program.do("close_range", [next, number - 1, CLOSE_RANGE_CLOEXEC]);
    next = number + 1;
  }
}
