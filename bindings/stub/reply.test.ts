import { describe, expect, test } from "vitest";
import { Program, RegisterAllocator } from "./program.ts";
import { decodeProgress, decodeReply } from "./reply.ts";

const ENOENT = 2;
const ECANCELED = 125;

function progress(ran: number, errno: number, operations: number) {
  return decodeProgress(new Uint8Array(Uint32Array.of(ran, errno).buffer), operations);
}

const protocolError = expect.objectContaining({ errno: "EPROTO" });

describe("progress of a program", () => {
  test.each([
    ["all of it", 3, 0],
    ["up to the first operation", 1, ENOENT],
    ["up to the last operation", 3, 4095],
    ["none of it, after a failed program", 0, ECANCELED],
  ])("takes %s", (_, ran, errno) => {
    expect(progress(ran, errno, 3)).toEqual({ ran, errno });
  });

  test.each([
    ["a part of it without an error", 2, 0],
    ["none of it without an error", 0, 0],
    ["more operations than there are", 4, 0],
    ["more operations than there are, with an error", 4, ENOENT],
    ["2^32 - 1 operations", 0xffffffff, 0],
    ["2^32 - 1 operations, with an error", 0xffffffff, ENOENT],
    ["none of it, with an operation's error", 0, ENOENT],
    ["an error above MAX_ERRNO", 3, 4096],
    ["the error 2^32 - 1", 3, 0xffffffff],
  ])("refuses %s", (_, ran, errno) => {
    expect(() => progress(ran, errno, 3)).toThrow(protocolError);
  });

  test("takes an empty program without an error", () => {
    expect(progress(0, 0, 0)).toEqual({ ran: 0, errno: 0 });
  });
});

describe("the results", () => {
  /** A reply to a program that takes a descriptor, tolerates some errors, and has outputs of 5 and 8 bytes. */
  function reply(results: readonly bigint[], errno = 0) {
    const program = new Program(new RegisterAllocator());
    program.descriptor(0);
    program.do("mkdirat", [0, "a", 0], { tolerate: ["EEXIST"] });
    program.do("umask", [0]);
    program.do("unlinkat", [0, "a", 0], { tolerate: ["any"] });
    program.output(5);
    program.output(8);
    const rest = new Uint8Array(8 * results.length + 16);
    rest.set(new Uint8Array(BigInt64Array.from(results).buffer));
    rest.fill(7, 8 * results.length);
    return decodeReply({ ran: results.length, errno }, rest, program, 1);
  }

  test("are those of the program's own operations, and the outputs have their lengths", () => {
    expect(reply([99n, -17n, 18n, -5n])).toEqual({
      results: [-17, 18, -5],
      outputs: [new Uint8Array(5).fill(7), new Uint8Array(8).fill(7)],
      failure: undefined,
    });
    expect(reply([99n, 0n, -5n], 5)).toMatchObject({ results: [0, -5], failure: { index: 1, errno: 5 } });
  });

  test("may be negative without being an error", () => {
    expect(reply([99n, 0n, -4096n, 0n]).results).toEqual([0, -4096, 0]);
  });

  test.each([
    ["an error that the operation does not tolerate", [99n, -2n, 0n, 0n], 0],
    ["an error of an operation that tolerates none", [99n, 0n, -17n, 0n], 0],
    ["another error than the one that stopped the program", [99n, 0n, -5n], 6],
    ["success of the operation that stopped the program", [99n, 0n, 0n], 5],
    ["an error before the one that stopped the program", [99n, -2n, -5n], 5],
  ])("refuses %s", (_, results, errno) => {
    expect(() => reply(results, errno)).toThrow(protocolError);
  });
});
