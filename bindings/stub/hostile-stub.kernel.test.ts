import { closeSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { MSG_NOSIGNAL } from "../abi/socket.ts";
import { callKernel, substituteKernel, syscall } from "../ffi/syscall.ts";
import { killAndReap } from "../linux/reap.ts";
import { revealSenders } from "../linux/socket-message.ts";
import { fuzzing, Random } from "../random.test-support.ts";
import { SyscallError } from "../syscall-error.ts";
import {
  channelPair,
  keepOnExec,
  openStubImage,
  StubChannel,
  sendWithDescriptors,
  spawnStub,
} from "./client.ts";
import { sendBytes } from "./kernel.test-support.ts";
import { data, type Program, type Reply } from "./program.ts";

/**
 * Replies of a hostile process: a container may take over its stub. Whatever arrives, the runtime either takes a reply that a stub could have
 * sent, or fails with one error. It waits no longer than its limit, and reads no more bytes than the program's reply can have.
 */

const open = new Set<number>();

function owned(fd: number): number {
  open.add(fd);
  return fd;
}

function close(fd: number): void {
  if (open.delete(fd)) closeSync(fd);
}

afterEach(() => {
  substituteKernel(undefined);
  for (const fd of [...open]) close(fd);
});

/** A channel, and the descriptor on which the hostile process replies. */
function hostile(patienceMs?: number) {
  const [ours, theirs] = channelPair();
  const channel = new StubChannel(owned(ours), undefined, patienceMs);
  return { channel, fd: ours, theirs: owned(theirs) };
}

function words(...numbers: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(numbers).buffer);
}

function twoOperations(channel: StubChannel): Program {
  const program = channel.program();
  program.do("umask", [0]);
  program.do("umask", [0]);
  return program;
}

function errnoOf(action: () => unknown): string {
  try {
    action();
    return "";
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    expect(error.message).not.toContain("\n");
    return error.errno;
  }
}

/** Records the longest buffer that is received into. */
function watchLengths(): () => number {
  let longest = 0;
  substituteKernel((name, args) => {
    if (name === "recvfrom") longest = Math.max(longest, Number(args[2]));
    return callKernel(name, args);
  });
  return () => longest;
}

test("a reply of 2^32 - 1 operations: EPROTO, and no memory for the results", () => {
  const { channel, theirs } = hostile();
  const longest = watchLengths();
  channel.send(twoOperations(channel));
  sendBytes(theirs, words(0xffffffff, 2));
  expect(errnoOf(() => channel.receive())).toBe("EPROTO");
  expect(longest()).toBe(8);
});

test("no reply: ETIMEDOUT after the limit", () => {
  const { channel } = hostile(50);
  channel.send(twoOperations(channel));
  expect(errnoOf(() => channel.receive())).toBe("ETIMEDOUT");
});

test("a byte now and then: ETIMEDOUT after the limit of all replies together", () => {
  const { channel, theirs } = hostile(300);
  for (let sent = 0; sent < 4; sent++) channel.send(twoOperations(channel));
  let count = 0;
  // A byte arrives every 200 ms, so the limit of a single read is never reached.
  substituteKernel((name, args) => {
    if (name !== "recvfrom") return callKernel(name, args);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    count += 1;
    sendBytes(theirs, Uint8Array.of(count === 1 ? 2 : 0));
    return callKernel(name, [...args.slice(0, 2), 1, ...args.slice(3)]);
  });
  expect(errnoOf(() => channel.receive())).toBe("ETIMEDOUT");
  expect(count).toBe(2);
  expect(errnoOf(() => channel.receive())).toBe("ETIMEDOUT");
  expect(count).toBe(2);
});

test.each([0, 1, 7, 8, 9, 23])("end of the stream after %i bytes of 24: EPIPE", (length) => {
  const { channel, theirs } = hostile();
  channel.send(twoOperations(channel));
  sendBytes(theirs, words(2, 0, 0, 0, 0, 0).subarray(0, length));
  close(theirs);
  expect(errnoOf(() => channel.receive())).toMatch(/^(EPIPE|ECONNRESET)$/);
});

test("descriptors that come with a reply are not taken", () => {
  const { channel, theirs } = hostile();
  const program = twoOperations(channel);
  channel.send(program);
  sendWithDescriptors(theirs, words(2, 0, 0, 0, 0, 0), [theirs, theirs]);
  // The lowest free descriptor number stays free.
  const free = () => {
    const fd = syscall("dup", [theirs]);
    closeSync(fd);
    return fd;
  };
  const before = free();
  expect(channel.receive().results).toEqual([0, 0]);
  expect(free()).toBe(before);
});

describe("the reply of a clone", () => {
  const pids: number[] = [];

  afterEach(() => {
    for (const pid of pids.splice(0)) killAndReap(pid);
  });

  /** A process that sends bytes over a socket as itself. */
  function puppet(): { readonly pid: number; readonly say: (to: number, bytes: Uint8Array) => void } {
    const image = openStubImage();
    const [ours, theirs] = channelPair();
    keepOnExec(theirs);
    const pid = spawnStub(image, theirs);
    pids.push(pid);
    for (const fd of [image, theirs]) closeSync(fd);
    const channel = new StubChannel(owned(ours));
    return {
      pid,
      say: (to, bytes) => {
        const program = channel.program();
        const socket = program.descriptor(to);
        program.do("sendto", [socket, data(bytes), bytes.length, MSG_NOSIGNAL, 0, 0]);
        program.do("close", [socket]);
        expect(channel.run(program).failure).toBeUndefined();
      },
    };
  }

  test("is taken if the clone itself sends it", () => {
    const { channel, fd, theirs } = hostile();
    revealSenders(fd);
    const clone = puppet();
    clone.say(theirs, words(2, 0, 0, 0, 5, 0));
    expect(channel.receiveFromClone(twoOperations(channel), clone.pid).results).toEqual([0, 5]);
  });

  test("from another process: EPROTO, even if the clone's own follows", () => {
    const { channel, fd, theirs } = hostile();
    revealSenders(fd);
    const [clone, other] = [puppet(), puppet()];
    other.say(theirs, words(2, 0));
    clone.say(theirs, words(2, 0, 0, 0, 5, 0));
    expect(errnoOf(() => channel.receiveFromClone(twoOperations(channel), clone.pid))).toBe("EPROTO");
  });

  test("begun by the clone and ended by another process: EPROTO", () => {
    const { channel, fd, theirs } = hostile();
    revealSenders(fd);
    const [clone, other] = [puppet(), puppet()];
    clone.say(theirs, words(2));
    other.say(theirs, words(0, 0, 0, 5, 0));
    expect(errnoOf(() => channel.receiveFromClone(twoOperations(channel), clone.pid))).toBe("EPROTO");
  });

  test("from a sender whose credentials are missing: EPROTO", () => {
    const { channel, theirs } = hostile();
    const clone = puppet();
    clone.say(theirs, words(2, 0, 0, 0, 5, 0));
    expect(errnoOf(() => channel.receiveFromClone(twoOperations(channel), clone.pid))).toBe("EPROTO");
  });
});

describe("random replies", () => {
  const { cases, seed } = fuzzing(600);
  const random = new Random(seed);

  function anyProgram(channel: StubChannel): Program {
    const program = channel.program();
    for (let count = random.below(3); count > 0; count--) program.descriptor(0);
    for (let count = random.below(12); count > 0; count--)
      program.do("umask", [0], { tolerate: random.pick([[], [], ["ENOENT"], ["any"]]) });
    for (let count = random.below(3); count > 0; count--) program.output(random.below(40));
    return program;
  }

  /** A reply of a stub that has run everything, or has failed somewhere. */
  function honest({ operations, descriptors, outputs }: Program): Uint8Array {
    const all = descriptors.length + operations.length;
    const fails = operations.length > 0 && random.chance(0.4);
    const ran = fails ? descriptors.length + 1 + random.below(operations.length) : all;
    const errno = fails ? 1 + random.below(133) : 0;
    const results = Array.from({ length: ran }, () => BigInt(random.below(1000)));
    if (fails) results[ran - 1] = BigInt(-errno);
    const output = outputs.reduce((length, { bytes }) => length + ((bytes.length + 7) & ~7), 0);
    return Buffer.concat([
      words(ran, errno),
      new Uint8Array(BigInt64Array.from(results).buffer),
      random.bytes(output),
    ]);
  }

  const extremes = [0, 1, 2, 125, 4095, 4096, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

  function mutated(honestly: Uint8Array): Uint8Array {
    const bytes = Uint8Array.from(honestly);
    const view = new DataView(bytes.buffer);
    switch (random.below(6)) {
      case 0:
        view.setUint32(random.pick([0, 4]), random.pick(extremes), true);
        return bytes;
      case 1:
        return bytes.subarray(0, random.below(bytes.length + 1));
      case 2:
        return Buffer.concat([bytes, random.bytes(1 + random.below(64))]);
      case 3:
        for (let count = 1 + random.below(4); count > 0; count--)
          bytes[random.below(bytes.length)] = random.below(256);
        return bytes;
      case 4:
        if (bytes.length >= 16) view.setBigInt64(8 * (1 + random.below(bytes.length / 8 - 1)), -2n, true);
        return bytes;
      default:
        return random.bytes(bytes.length);
    }
  }

  /** Properties that all users of a reply rely on. */
  function checkSound({ operations, outputs }: Program, reply: Reply): void {
    const { failure, results } = reply;
    expect(reply.outputs.map(({ length }) => length)).toEqual(outputs.map(({ bytes }) => bytes.length));
    if (failure === undefined) expect(results).toHaveLength(operations.length);
    else {
      expect(failure.index).toBeLessThan(operations.length);
      expect(results).toHaveLength(Math.max(0, failure.index + 1));
      expect(failure.errno).toBeGreaterThan(0);
      expect(failure.errno).toBeLessThan(4096);
    }
    results.forEach((result, index) => {
      if (result >= 0 || result < -4095 || index === failure?.index) return;
      expect(operations[index]?.tolerate).not.toEqual([]);
    });
  }

  test(`${cases} of them: an impossible reply is one error, and no byte beyond the reply is read`, () => {
    const outcomes = new Map<string, number>();
    const longest = watchLengths();
    for (let count = 0; count < cases; count++) {
      const isSilent = random.chance(0.05);
      const { channel, fd, theirs } = hostile(isSilent ? 20 : undefined);
      const programs = Array.from({ length: 1 + random.below(3) }, () => anyProgram(channel));
      const replies = programs.map((program) =>
        random.chance(0.4) ? honest(program) : mutated(honest(program)),
      );
      for (const program of programs) channel.send(program);
      sendBytes(theirs, Buffer.concat(replies));
      if (!isSilent) close(theirs);
      const outcome = errnoOf(() => {
        for (const program of programs) checkSound(program, channel.receive());
      });
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      close(fd);
      close(theirs);
    }
    expect([...outcomes.keys()].sort()).toEqual(["", "ECONNRESET", "EPIPE", "EPROTO", "ETIMEDOUT"]);
    expect(longest()).toBeLessThan(8 * 15 + 2 * 40 + 1);
  });
});
