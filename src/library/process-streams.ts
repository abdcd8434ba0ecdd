import { createReadStream, createWriteStream } from "node:fs";
import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { F_GETFD } from "../../bindings/abi/fcntl.ts";
import { trySyscall } from "../../bindings/ffi/syscall.ts";
import { closeSync, openSync } from "../../bindings/linux/files.ts";
import { pipe } from "../../bindings/linux/pipe.ts";
import type { ExitStatus } from "../container/process/exit-status.ts";
import { RuntsError } from "../errors.ts";
import type { StandardStreams } from "../plan/process/stdio.ts";

/**
 * The target of a standard stream: the same stream of this process (`inherit`), /dev/null (`ignore`), a pipe to this program (`pipe`), or
 * an open descriptor.
 */
export type StreamTarget = "inherit" | "ignore" | "pipe" | number;

/** By default, stdin is `ignore`, stdout and stderr are `inherit`. */
export interface StreamOptions {
  readonly stdin?: StreamTarget;
  readonly stdout?: StreamTarget;
  readonly stderr?: StreamTarget;
}

/** This program's ends of the pipes; null for other streams, as in child_process. */
export interface ProcessStreams {
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
}

/** The standard streams of a process that is about to be created. */
export class OpenStreams {
  readonly #opened: number[] = [];
  readonly #ours: (number | undefined)[] = [];
  /** Descriptors for the container's process. */
  readonly descriptors: StandardStreams;

  constructor({ stdin = "ignore", stdout = "inherit", stderr = "inherit" }: StreamOptions) {
    try {
      this.descriptors = [this.#open(0, stdin), this.#open(1, stdout), this.#open(2, stderr)];
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  #open(fd: 0 | 1 | 2, target: StreamTarget): number {
    if (typeof target === "number") return openDescriptor(fd, target);
    if (target === "inherit") return fd;
    if (target === "ignore") return this.#remember(openSync("/dev/null", fd === 0 ? "r" : "w"));
    if (target !== "pipe") throw wrongTarget(fd, target);
    const [read, write] = pipe();
    this.#ours[fd] = fd === 0 ? write : read;
    return this.#remember(fd === 0 ? read : write);
  }

  #remember(fd: number): number {
    this.#opened.push(fd);
    return fd;
  }

  /** Closes the process's ends, of which it has copies, and returns this program's ends. */
  handOver(): ProcessStreams {
    for (const fd of this.#opened.splice(0)) closeSync(fd);
    const [stdin, stdout, stderr] = this.#ours;
    return {
      stdin: stdin === undefined ? null : writable(stdin),
      stdout: stdout === undefined ? null : readable(stdout),
      stderr: stderr === undefined ? null : readable(stderr),
    };
  }

  /** Closes everything, as no process was created. */
  abandon(): void {
    for (const fd of this.#opened.splice(0)) closeSync(fd);
    for (const fd of this.#ours.splice(0)) if (fd !== undefined) closeSync(fd);
  }
}

const NAMES = ["stdin", "stdout", "stderr"] as const;

/** Refuses a pipe as standard input: somebody has to close it, or a program that reads it never exits. */
export function refusePipe({ stdin }: { readonly stdin?: StreamTarget | undefined }, instead: string): void {
  if (stdin !== "pipe") return;
  throw new RuntsError(`stdin: nobody could write to a pipe before the end: use ${instead}`, {
    operation: "pipe2",
    errno: "EINVAL",
    path: "stdin",
  });
}

/** Reached by untyped programs only. */
function wrongTarget(fd: 0 | 1 | 2, target: unknown): RuntsError {
  const message = `must be "inherit", "ignore", "pipe" or an open descriptor, not ${JSON.stringify(target)}`;
  return new RuntsError(`${NAMES[fd]}: ${message}`, { operation: "open", errno: "EINVAL", path: NAMES[fd] });
}

function openDescriptor(fd: 0 | 1 | 2, target: number): number {
  if (Number.isInteger(target) && target >= 0 && trySyscall("fcntl", target, F_GETFD) >= 0) return target;
  throw new RuntsError(`${NAMES[fd]}: descriptor ${target} is not open`, {
    operation: "fcntl",
    errno: "EBADF",
    path: String(target),
  });
}

/** In Node, a socket waits for a pipe in the event loop, where a file stream would occupy one of few threads. Bun has enough threads. */
function readable(fd: number): Readable {
  if (process.versions.bun !== undefined) return createReadStream("", { fd });
  return new Socket({ fd, readable: true, writable: false });
}

function writable(fd: number): Writable {
  if (process.versions.bun !== undefined) return createWriteStream("", { fd });
  return new Socket({ fd, readable: false, writable: true });
}

/** A process's exit status, and its output as UTF-8 from those streams that were pipes. */
export interface Result extends ExitStatus {
  readonly stdout: string;
  readonly stderr: string;
}

/** All that a stream has, as UTF-8; "" without a stream. */
export async function textOf(stream: Readable | null): Promise<string> {
  if (stream === null) return "";
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
