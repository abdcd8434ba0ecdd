import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EAGAIN, EINTR, errnoName } from "../abi/errno.ts";
import { MSG_DONTWAIT, MSG_NOSIGNAL } from "../abi/socket.ts";
import { syscallNumbers } from "../abi/syscall-numbers.generated.ts";
import { type SyscallNumbers, syscall, trySyscall } from "../ffi/syscall.ts";
import { setSocketTimeout } from "../linux/socket-timeout.ts";
import { arm64SkipReason, compileChecked, qemu, writeImage } from "../native-image.test-support.ts";
import { SyscallError } from "../syscall-error.ts";
import { channelPair, StubChannel } from "./client.ts";
import type { Program } from "./program.ts";

/** A build of stub.c. */
export interface Target {
  readonly name: string;
  /** The reason why it can't run here, or false. */
  readonly skipReason: string | false;
  readonly numbers: SyscallNumbers;
  /** The command that runs it, without the number of the channel. */
  prepare(directory: string): readonly string[];
}

const machine = process.arch === "arm64" ? "arm64" : "x64";

/** The committed images, or rebuilt ones, and stub.c with sanitizers. */
const targets: readonly Target[] = [
  {
    name: machine,
    skipReason: false,
    numbers: syscallNumbers[machine],
    prepare: (directory) => [writeImage(directory, "stub", machine)],
  },
  {
    name: "arm64 in qemu",
    skipReason: arm64SkipReason,
    numbers: syscallNumbers.arm64,
    prepare: (directory) => [qemu, writeImage(directory, "stub", "arm64")],
  },
  {
    name: "sanitizers of gcc",
    skipReason: inDirectory((directory) =>
      compileChecked(directory, "checked", "int main(void) { return 0; }"),
    )
      ? false
      : "needs gcc with libasan and libubsan",
    numbers: syscallNumbers[machine],
    prepare: (directory) => {
      const file = compileChecked(directory, "checked", hostedStub);
      if (file === undefined) throw new Error("gcc could not compile stub.c with sanitizers");
      return [file];
    },
  },
];

/** stub.c compiled with a libc, whose `_start` runs first. */
const hostedStub = `
#include "${join(import.meta.dirname, "stub.c")}"
int main(int argc, char **argv)
{
	u64 stack[] = { argc, (u64)argv[0], (u64)argv[1] };
	start(stack);
}
`;

function inDirectory<T>(action: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "runts-stub-"));
  try {
    return action(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A running stub. */
export interface Stub {
  /** Our end of its channel. */
  readonly fd: number;
  readonly channel: StubChannel;
  readonly pid: number;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<unknown>;
  /** Closes our end of the channel. */
  hangUp(): void;
  /** Kills the stub and waits for its end: a later SIGCHLD would interrupt calls with a time limit. */
  dispose(): Promise<void>;
}

/** A socket pair whose first end, ours, fails with EAGAIN (11) instead of waiting for a stub that hangs. */
export function boundedPair(): readonly [ours: number, theirs: number] {
  const pair = channelPair();
  setSocketTimeout(pair[0], 60);
  return pair;
}

function startStub(command: readonly string[], numbers: SyscallNumbers): Stub {
  const [fd, theirs] = boundedPair();
  const [file = "", ...args] = command;
  const process = spawn(file, [...args, "3"], { env: {}, stdio: ["ignore", "inherit", "inherit", theirs] });
  closeSync(theirs);
  let open = true;
  const hangUp = () => {
    if (open) closeSync(fd);
    open = false;
  };
  const ended = exitOf(process);
  return {
    fd,
    channel: new StubChannel(fd, numbers),
    pid: process.pid ?? -1,
    ended,
    hangUp,
    dispose: async () => {
      hangUp();
      process.kill("SIGKILL");
      await ended;
    },
  };
}

/** Runs a stub without a channel; returns its exit code. */
export function runAlone([file = "", ...args]: readonly string[], more: readonly string[]): Promise<unknown> {
  return exitOf(spawn(file, [...args, ...more], { env: {}, stdio: ["ignore", "inherit", "inherit"] }));
}

async function exitOf(child: ChildProcess): Promise<unknown> {
  const [code, signal]: unknown[] = await once(child, "exit");
  return code ?? signal;
}

export function sendBytes(fd: number, bytes: Uint8Array): void {
  for (let sent = 0; sent < bytes.length; ) {
    const rest = bytes.subarray(sent);
    sent += syscall("sendto", [fd, rest, rest.length, MSG_NOSIGNAL]);
  }
}

/** Reads `length` bytes, or fewer at the end of the stream. */
export function receiveBytes(fd: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let got = 0;
  while (got < length) {
    const rest = bytes.subarray(got);
    const count = trySyscall("recvfrom", fd, rest, rest.length, 0, null, null);
    if (count === -EINTR) continue;
    if (count < 0) throw new SyscallError("recvfrom", errnoName(-count));
    if (count === 0) break;
    got += count;
  }
  return bytes.subarray(0, got);
}

export interface RawReply {
  readonly ran: number;
  readonly error: number;
  readonly results: readonly bigint[];
}

/** A reply without outputs. */
export function receiveReply(fd: number): RawReply {
  const [ran = 0, error = 0] = new Uint32Array(receiveBytes(fd, 8).slice().buffer);
  return { ran, error, results: [...new BigInt64Array(receiveBytes(fd, 8 * ran).slice().buffer)] };
}

/** Whether nothing has arrived, and the stream hasn't ended. */
export function isSilent(fd: number): boolean {
  return trySyscall("recvfrom", fd, new Uint8Array(1), 1, MSG_DONTWAIT, null, null) === -EAGAIN;
}

/** A stub for tests; each test gets a new one. */
export interface Bench {
  readonly target: Target;
  readonly directory: string;
  readonly command: readonly string[];
  readonly stub: Stub;
  /** Replaces the stub by a new one. */
  restart(): Promise<void>;
}

/** A file that programs act on, which shows the arguments that the stub passes to the kernel. */
export interface ContentFile {
  readonly path: string;
  readonly fd: number;
}

/** Initial content of a `ContentFile`. */
export const CONTENT = "0123456789abcdef";

/** A file for tests; each test gets a new one. */
export function contentFile(bench: Bench): ContentFile {
  let path = "";
  let fd = -1;

  beforeEach(() => {
    path = join(bench.directory, "größe");
    writeFileSync(path, CONTENT);
    fd = openSync(path, "r+");
  });

  afterEach(() => {
    closeSync(fd);
  });

  return {
    get path() {
      return path;
    },
    get fd() {
      return fd;
    },
  };
}

/** Results of a program that is expected to succeed. */
export function resultsIn(bench: Bench, build: (program: Program) => void): readonly number[] {
  const program = bench.stub.channel.program();
  build(program);
  const reply = bench.stub.channel.run(program);
  expect(reply.failure).toBeUndefined();
  return reply.results;
}

/** A suite that runs for every build of stub.c. */
export function describeBuilds(title: string, tests: (bench: Bench) => void): void {
  describe.each(targets)(`${title}: $name`, (target) => {
    if (target.skipReason !== false) {
      test.skip(`skipped: ${target.skipReason}`, () => {});
      return;
    }
    const directory = mkdtempSync(join(tmpdir(), "runts-stub-"));
    let command: readonly string[] = [];
    let stub: Stub;

    beforeAll(() => {
      command = target.prepare(directory);
    });

    beforeEach(() => {
      stub = startStub(command, target.numbers);
    });

    afterEach(() => stub.dispose());

    afterAll(() => {
      rmSync(directory, { recursive: true, force: true });
    });

    tests({
      target,
      directory,
      get command() {
        return command;
      },
      get stub() {
        return stub;
      },
      restart: async () => {
        await stub.dispose();
        stub = startStub(command, target.numbers);
      },
    });
  });
}
