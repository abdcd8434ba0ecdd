import { closeSync, openSync } from "node:fs";
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { ECANCELED, EINVAL, EPROTO } from "../abi/errno.ts";
import { sendWithDescriptors } from "./client.ts";
import { describeBuilds, receiveBytes, receiveReply, runAlone, sendBytes } from "./kernel.test-support.ts";
import { encodeMessage, type Kind, type PartialMessage, type PartialOperation } from "./wire.test-support.ts";

const ANY_ERRNO = 255;
const REGISTERS = 4096;
const MAX_BODY = 16 << 20;
const [STORE, COPY, LOAD] = [0x10000, 0x10002, 0x10003];
const copy: PartialOperation = { nr: COPY, args: [["CONSTANT", 5]] };

describeBuilds("malformed input", (bench) => {
  function exchange(message: PartialMessage) {
    sendBytes(bench.stub.fd, encodeMessage(message));
    const reply = receiveReply(bench.stub.fd);
    const output = message.header?.output ?? 0;
    expect(receiveBytes(bench.stub.fd, output)).toHaveLength(output);
    return reply;
  }

  /** Sends an operation between two others, of which only the first may run; then replaces the stub. */
  async function expectRejected(operation: PartialOperation, message: PartialMessage = {}): Promise<void> {
    const operations = [copy, { tolerated: [ANY_ERRNO], ...operation }, copy];
    const reply = { ran: 2, error: EINVAL, results: [5n, BigInt(-EINVAL)] };
    expect(exchange({ ...message, operations }), inspect(operation)).toEqual(reply);
    expect(exchange({ operations: [copy] })).toEqual({ ran: 0, error: ECANCELED, results: [] });
    await bench.restart();
  }

  const argument = (position: number, kind: Kind, value: number | bigint): PartialOperation => ({
    nr: COPY,
    args: Array.from({ length: 6 }, (_, index) => (index === position ? [kind, value] : ["CONSTANT", 0])),
  });

  // The body of expectRejected has three operations of 64 bytes; here 8 bytes of data and 16 bytes of output follow.
  const room: PartialMessage = { data: new Uint8Array(8), header: { output: 16 } };
  const limits = [
    ["ADDRESS", 3 * 64 + 8],
    ["REGISTER", REGISTERS - 1],
    ["OUTPUT", 16],
  ] as const;

  test.each(limits)("every argument: %s above %i", async (kind, most) => {
    for (let position = 0; position < 6; position++) {
      for (const value of [most + 1, 2 ** 32, 2n ** 63n, 2n ** 64n - 1n])
        await expectRejected(argument(position, kind, value), room);
    }
  });

  test.each(limits)("every argument: %s of %i is the last", (kind, most) => {
    for (let position = 0; position < 6; position++) {
      const checked = [copy, argument(position, kind, most), copy];
      expect(exchange({ ...room, operations: checked }).error).toBe(0);
    }
  });

  test("every register for a result beyond the last", async () => {
    for (const result of [REGISTERS, REGISTERS + 1, 0x7fff, 0x8000, 0xfffe])
      await expectRejected({ ...copy, result });
    expect(exchange({ operations: [{ ...copy, result: REGISTERS - 1 }] }).error).toBe(0);
  });

  test("every guard beyond the last", async () => {
    for (const guard of [5, 6, 127, 128, 255]) await expectRejected({ ...copy, guard });
  });

  test("every guard on a register beyond the last", async () => {
    for (const guard of [1, 2, 3, 4]) {
      await expectRejected({ ...copy, guard, guardRegister: REGISTERS });
      await expectRejected({ ...copy, guard, guardRegister: 0xffff });
      expect(exchange({ operations: [{ ...copy, guard, guardRegister: REGISTERS - 1 }] }).error).toBe(0);
    }
    expect(exchange({ operations: [{ ...copy, guard: 0, guardRegister: 0xffff }] }).results).toEqual([5n]);
  });

  test("an operation that its guard skips is checked, too", async () => {
    await expectRejected({ ...argument(0, "REGISTER", REGISTERS), guard: 2, guardRegister: 0 });
  });

  /** Runs operations, each of which may fail, and returns their results. */
  function resultsOf(operations: readonly PartialOperation[], message: PartialMessage): readonly bigint[] {
    const tolerant = operations.map((operation) => ({ ...operation, tolerated: [ANY_ERRNO] }));
    const reply = exchange({ ...message, operations: tolerant });
    expect([reply.ran, reply.error]).toEqual([operations.length, 0]);
    return reply.results;
  }

  const invalid = BigInt(-EINVAL);

  test("every call number that the stub does not know", () => {
    const powers = Array.from({ length: 15 }, (_, bit) => 2 ** (17 + bit));
    const known = new Set([0x10000, 0x10001, 0x10002, 0x10003, 0x10004, 0x10005]);
    const near = Array.from({ length: 256 }, (_, index) => 0x10000 + index).filter((nr) => !known.has(nr));
    // x32 calls of x86-64 have bit 30.
    const x32 = 0x40000000 + bench.target.numbers.getpid;
    const operations = [...near, ...powers, x32, 0xffffffff].map((nr) => ({ nr }));
    expect(resultsOf(operations, {})).toEqual(operations.map(() => invalid));
    expect(exchange({ operations: [{ nr: 0x10006 }, copy] })).toEqual({
      ran: 1,
      error: EINVAL,
      results: [invalid],
    });
  });

  test("a system call that the kernel does not know", () => {
    expect(resultsOf([{ nr: 0xfff0 }], {})).toEqual([-38n]);
  });

  /** `store` or `load` at an address. */
  function access(nr: number, kind: Kind, value: number | bigint, width: number | bigint): PartialOperation {
    const rest = [...(nr === STORE ? [["CONSTANT", 0] as const] : []), ["CONSTANT", width] as const];
    return { nr, args: [[kind, value], ...rest] };
  }

  test.each([
    ["store", STORE, [4, 8]],
    ["load", LOAD, [2, 4]],
  ] as const)("%s: every width except its own", (_, nr, widths) => {
    const own = new Set<number | bigint>(widths);
    const tried = [...Array.from({ length: 65 }, (_, width) => width), 2n ** 32n + 4n, 2n ** 64n - 4n];
    const operations = tried.map((width) => access(nr, "OUTPUT", 0, width));
    expect(resultsOf(operations, { header: { output: 128 } })).toEqual(
      tried.map((width) => (own.has(width) ? 0n : invalid)),
    );
  });

  test.each([
    ["store", STORE, [4, 8]],
    ["load", LOAD, [2, 4]],
  ] as const)("%s: no address outside of the body and the output", (_, nr, widths) => {
    const output = 24;
    for (const width of widths) {
      const inside = Array.from({ length: output + 1 }, (_, offset) => access(nr, "OUTPUT", offset, width));
      expect(resultsOf(inside, { header: { output } })).toEqual(
        inside.map((_, offset) => (offset + width <= output ? 0n : invalid)),
      );
      const absurd = [0n, 1n, 0xffffn, 2n ** 47n, 2n ** 63n, ...[1, 2, 4, 7, 8, 9].map((n) => -BigInt(n))];
      const outside = absurd.map((address) => access(nr, "CONSTANT", address, width));
      expect(resultsOf(outside, { header: { output } })).toEqual(outside.map(() => invalid));
    }
  });

  test("store and load at the end of a body without output", () => {
    const ends = [8, 7, 4, 3, 2, 1, 0].map((before) => 7 * 64 + 8 - before);
    const data = new Uint8Array(8);
    const outcome = (width: number) => [8, 7, 4, 3, 2, 1, 0].map((left) => (left >= width ? 0n : invalid));
    for (const [nr, width] of [
      [STORE, 4],
      [STORE, 8],
      [LOAD, 2],
      [LOAD, 4],
    ] as const) {
      const operations = ends.map((end) => access(nr, "ADDRESS", end, width));
      expect(resultsOf(operations, { data })).toEqual(outcome(width));
    }
  });

  const headers: readonly (readonly [string, PartialMessage])[] = [
    ["one operation and no body", { header: { ops: 1 } }],
    ["one operation more than the body holds", { operations: [copy], header: { ops: 2 } }],
    ["2^32 - 1 operations", { operations: [copy], header: { ops: 0xffffffff } }],
    ["operations whose size overflows 32 bits", { operations: [copy], header: { ops: 0x04000001 } }],
    ["a body above the limit", { header: { body: MAX_BODY + 1 } }],
    ["a body of 2^32 - 1 bytes", { header: { body: 0xffffffff } }],
    ["an output above the limit", { header: { output: MAX_BODY + 1 } }],
    ["an output of 2^32 - 1 bytes", { header: { output: 0xffffffff } }],
    ["a descriptor that was not sent", { header: { fdCount: 1 } }],
    ["registers for descriptors beyond the last", { header: { fdFirst: REGISTERS + 1 } }],
  ];

  test.each(headers)("the header announces %s", async (_, message) => {
    sendBytes(bench.stub.fd, encodeMessage(message));
    expect(await bench.stub.ended).toBe(EPROTO);
  });

  test.each([
    ["more descriptors than announced", { fdCount: 1 }],
    ["fewer descriptors than announced", { fdCount: 3 }],
    ["no descriptors", {}],
    ["registers for descriptors beyond the last", { fdCount: 2, fdFirst: REGISTERS - 1 }],
  ])("the header announces %s, and two are sent", async (_, header) => {
    const fd = openSync("/dev/null", "r");
    sendWithDescriptors(bench.stub.fd, encodeMessage({ header }), [fd, fd]);
    closeSync(fd);
    expect(await bench.stub.ended).toBe(EPROTO);
  });

  test.each([
    ["the header", 10, { operations: [copy] }],
    ["an operation", 24 + 63, { operations: [copy] }],
    ["the data", 24 + 64 + 7, { operations: [copy], data: new Uint8Array(8) }],
  ])("the stream ends within %s: nothing is run", async (_, length, message) => {
    sendBytes(bench.stub.fd, encodeMessage(message).subarray(0, length));
    bench.stub.hangUp();
    expect(await bench.stub.ended).toBe(EPROTO);
  });

  test("the largest body and the largest output", () => {
    const largest = { data: new Uint8Array(MAX_BODY), header: { output: MAX_BODY } };
    expect(exchange(largest)).toEqual({ ran: 0, error: 0, results: [] });
    expect(exchange({ operations: [copy] }).results).toEqual([5n]);
  });

  test("no channel: no argument, a closed descriptor, and one that is not a socket", async () => {
    for (const args of [[], ["99"], ["0"]]) expect(await runAlone(bench.command, args)).toBe(EPROTO);
  });
});
