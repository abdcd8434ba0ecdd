import { describe, expect, test } from "vitest";
import { nulTerminated } from "../abi/c-string.ts";
import { syscallNumbers } from "../abi/syscall-numbers.generated.ts";
import { encodeProgram } from "./encode.ts";
import { at, data, LANDING_REGISTER, Program, RegisterAllocator } from "./program.ts";
import { decodeMessage, NO_REGISTER, OPERATION_SIZE, type WireMessage } from "./wire.test-support.ts";

function newProgram(): Program {
  return new Program(new RegisterAllocator());
}

function encoded(program: Program): WireMessage {
  return decodeMessage(encodeProgram(program, syscallNumbers.x64).message);
}

/** The only operation of a program that `build` adds to. */
function operation(build: (program: Program) => void) {
  const program = newProgram();
  build(program);
  const [only] = encoded(program).operations;
  if (only === undefined) throw new Error("the program is empty");
  return only;
}

function argumentValues(...args: readonly (number | bigint)[]): bigint[] {
  return operation((program) => program.do("copy", args)).args.map(({ value }) => value);
}

/** NUL-terminated text at an offset from the start of the body. */
function textAt({ header, data: bytes }: WireMessage, offset: bigint | undefined): string {
  const start = Number(offset ?? -1n) - OPERATION_SIZE * header.ops;
  return Buffer.from(bytes.subarray(start, bytes.indexOf(0, start))).toString();
}

describe("header", () => {
  test("of an empty program", () => {
    const { header, operations, data: rest } = encoded(newProgram());
    expect(header).toEqual({
      body: 0,
      ops: 0,
      fdCount: 0,
      fdFirst: LANDING_REGISTER,
      flags: 0,
      output: 0,
      reserved: 0,
    });
    expect(operations).toEqual([]);
    expect(rest).toHaveLength(0);
  });

  test("counts operations, and all bytes after it", () => {
    const program = newProgram();
    program.do("getpid", []);
    program.do("chdir", ["/a"]);
    const { message } = encodeProgram(program, syscallNumbers.x64);
    const { header } = decodeMessage(message);
    expect(header.ops).toBe(2);
    expect(header.body).toBe(message.length - 24);
    expect(header.body % 8).toBe(0);
  });

  test("has flag 1 for a quiet program", () => {
    const program = newProgram();
    program.quiet = true;
    expect(encoded(program).header.flags).toBe(1);
  });
});

describe("operation", () => {
  test("has the number of the call on the wanted architecture", () => {
    const program = newProgram();
    program.do("openat", []);
    const numberOn = (arch: "x64" | "arm64") =>
      decodeMessage(encodeProgram(program, syscallNumbers[arch]).message).operations[0]?.nr;
    expect(numberOn("x64")).toBe(257);
    expect(numberOn("arm64")).toBe(56);
  });

  test.each([
    ["store", 0x10000],
    ["set-channel", 0x10001],
    ["copy", 0x10002],
    ["load", 0x10003],
    ["await", 0x10004],
    ["init", 0x10005],
  ] as const)("%s has the number of the stub", (call, nr) => {
    expect(operation((program) => program.do(call, [])).nr).toBe(nr);
  });

  test("without options is all zero, except the result, which goes to no register", () => {
    const zero = { kind: "CONSTANT", value: 0n };
    expect(operation((program) => program.do("getpid", []))).toEqual({
      nr: 39,
      result: NO_REGISTER,
      guardRegister: 0,
      guard: 0,
      tolerated: [0, 0, 0],
      reserved: 0,
      args: [zero, zero, zero, zero, zero, zero],
    });
  });

  test("names the register of its result", () => {
    expect(operation((program) => program.do("getpid", [], { into: { register: 3799 } })).result).toBe(3799);
    const program = newProgram();
    const registers = [program.call("getpid", []), program.call("getpid", [])];
    expect(encoded(program).operations.map(({ result }) => ({ register: result }))).toEqual(registers);
  });

  test.each([
    ["ok", 1],
    ["failed", 2],
    ["zero", 3],
    ["positive", 4],
  ] as const)("guard %s", (is, guard) => {
    const guarded = operation((program) => program.do("getpid", [], { if: [{ register: 300 }, is] }));
    expect(guarded).toMatchObject({ guard, guardRegister: 300, result: NO_REGISTER });
  });

  test.each([
    [[], [0, 0, 0]],
    [["ENOENT"], [2, 0, 0]],
    [
      ["EEXIST", "EHWPOISON", "any"],
      [17, 133, 255],
    ],
  ])("tolerated errors %j", (tolerate, tolerated) => {
    expect(operation((program) => program.do("getpid", [], { tolerate })).tolerated).toEqual(tolerated);
  });

  test("a fourth tolerated error is refused", () => {
    const tolerate = ["EPERM", "ENOENT", "ESRCH", "EINTR"];
    expect(() => operation((program) => program.do("getpid", [], { tolerate }))).toThrow("at most 3 errors");
  });
});

describe("argument", () => {
  test("numbers, also negative and of more than 32 bits", () => {
    const two = (bits: number) => 1n << BigInt(bits);
    expect(argumentValues(0, 1, 0xffffffff, 2 ** 32, 2 ** 53 - 1, 0x123456789a)).toEqual([
      0n,
      1n,
      0xffffffffn,
      two(32),
      two(53) - 1n,
      0x123456789an,
    ]);
    expect(argumentValues(-1, -100, -(2 ** 31), -(2 ** 32), -(2 ** 32) - 5, -(2 ** 53) + 1)).toEqual(
      [-1n, -100n, -two(31), -two(32), -two(32) - 5n, -two(53) + 1n].map((value) =>
        BigInt.asUintN(64, value),
      ),
    );
    expect(argumentValues(0n, two(63), two(64) - 1n, -1n, -two(63), 0x123456789abcdef0n)).toEqual([
      0n,
      two(63),
      two(64) - 1n,
      two(64) - 1n,
      two(63),
      0x123456789abcdef0n,
    ]);
  });

  test("strings are addresses of NUL-terminated UTF-8, each once", () => {
    const program = newProgram();
    program.do("renameat2", [-100, "/älter", -100, "/new", 0]);
    program.do("symlinkat", ["/new", -100, "/älter"]);
    program.do("chdir", [""]);
    const message = encoded(program);
    const [rename, symlink, chdir] = message.operations;
    expect(rename?.args.map(({ kind }) => kind)).toEqual([
      "CONSTANT",
      "ADDRESS",
      "CONSTANT",
      "ADDRESS",
      "CONSTANT",
      "CONSTANT",
    ]);
    expect(textAt(message, rename?.args[1]?.value)).toBe("/älter");
    expect(textAt(message, rename?.args[3]?.value)).toBe("/new");
    expect(textAt(message, chdir?.args[0]?.value)).toBe("");
    expect(symlink?.args[0]).toEqual(rename?.args[3]);
    expect(symlink?.args[2]).toEqual(rename?.args[1]);
  });

  test("data is an address, each once, at a multiple of 8, with the offset added", () => {
    const program = newProgram();
    const first = data(Uint8Array.of(1, 2, 3));
    const second = data(Uint8Array.of(4, 5, 6, 7, 8, 9, 10, 11, 12));
    program.do("copy", [first, second, at(second, 3), at(at(first, 1), 1)]);
    const { operations, data: bytes } = encoded(program);
    const [{ args } = { args: [] }] = operations;
    const [atFirst = 0, atSecond = 0, inSecond, inFirst] = args.map(({ value }) => Number(value));
    expect(args.slice(0, 4).every(({ kind }) => kind === "ADDRESS")).toBe(true);
    expect([atFirst % 8, atSecond % 8]).toEqual([0, 0]);
    expect([inSecond, inFirst]).toEqual([atSecond + 3, atFirst + 2]);
    expect([...bytes.subarray(atFirst - OPERATION_SIZE)].slice(0, 3)).toEqual([1, 2, 3]);
    expect([...bytes.subarray(atSecond - OPERATION_SIZE)].slice(0, 9)).toEqual([...second.bytes]);
  });

  test("data stays when the buffer grows", () => {
    const program = newProgram();
    const texts = Array.from({ length: 100 }, (_, index) => `${index}:${"x".repeat(997)}`);
    for (const text of texts) program.do("chdir", [text]);
    const large = data(new Uint8Array(100_000).fill(7));
    program.do("copy", [large]);
    const message = encoded(program);
    expect(message.operations.slice(0, -1).map(({ args }) => textAt(message, args[0]?.value))).toEqual(texts);
    const start = Number(message.operations.at(-1)?.args[0]?.value) - OPERATION_SIZE * message.header.ops;
    expect(Buffer.compare(message.data.subarray(start, start + 100_000), large.bytes)).toBe(0);
  });

  test("registers", () => {
    const [value] = operation((program) => program.do("copy", [{ register: 1234 }])).args;
    expect(value).toEqual({ kind: "REGISTER", value: 1234n });
  });

  test("outputs are at multiples of 8, and not part of the message", () => {
    const program = newProgram();
    const [first, second] = [program.output(3), program.output(16)];
    program.do("copy", [first, second, at(second, 5)]);
    const { message, outputLength } = encodeProgram(program, syscallNumbers.x64);
    const { header, operations } = decodeMessage(message);
    expect(operations[0]?.args.slice(0, 3)).toEqual([
      { kind: "OUTPUT", value: 0n },
      { kind: "OUTPUT", value: 8n },
      { kind: "OUTPUT", value: 13n },
    ]);
    expect([header.output, outputLength, header.body]).toEqual([24, 24, OPERATION_SIZE]);
  });

  test("a string array is stored pointer by pointer, and ends with a null pointer", () => {
    const program = newProgram();
    const array = program.stringArray(["a", Buffer.from("bc\0")]);
    program.do("execve", ["/a", array, 0]);
    const message = encoded(program);
    const [first, second, execve] = message.operations;
    const start = Number(execve?.args[1]?.value);
    expect(first?.args.slice(0, 3).map(({ kind }) => kind)).toEqual(["ADDRESS", "ADDRESS", "CONSTANT"]);
    expect([first, second].map((store) => Number(store?.args[0]?.value) - start)).toEqual([0, 8]);
    expect([first, second].map((store) => textAt(message, store?.args[1]?.value))).toEqual(["a", "bc"]);
    expect([first?.args[2]?.value, array.bytes.length]).toEqual([8n, 24]);
    expect(array.bytes.every((byte) => byte === 0)).toBe(true);
  });
});

describe("descriptors", () => {
  test("are copied from their landing registers before all other operations", () => {
    const program = newProgram();
    const before = program.call("getpid", []);
    const [first, second] = [program.descriptor(10), program.descriptor(7)];
    program.do("close", [second]);
    const { message, descriptors, prologue } = encodeProgram(program, syscallNumbers.x64);
    const { header, operations } = decodeMessage(message);
    expect([descriptors, prologue, header.fdCount, header.ops]).toEqual([[10, 7], 2, 2, 4]);
    for (const [index, into] of [first, second].entries()) {
      expect(operations[index]).toMatchObject({ nr: 0x10002, result: into.register, guard: 0 });
      expect(operations[index]?.args[0]).toEqual({
        kind: "REGISTER",
        value: BigInt(header.fdFirst + index),
      });
    }
    expect(operations[2]).toMatchObject({ nr: 39, result: before.register });
    expect(operations[3]?.args[0]).toEqual({ kind: "REGISTER", value: BigInt(second.register) });
  });

  test("are 253 at most", () => {
    const program = newProgram();
    for (let count = 0; count < 253; count++) program.descriptor(0);
    expect(encodeProgram(program).prologue).toBe(253);
    program.descriptor(0);
    expect(() => encodeProgram(program)).toThrow("at most 253 descriptors");
  });
});

describe("Program", () => {
  test("never hands out a landing register", () => {
    const registers = new RegisterAllocator();
    for (let number = 0; number < LANDING_REGISTER; number++)
      expect(registers.take()).toEqual({ register: number });
    expect(() => registers.take("/mounts/900")).toThrow("/mounts/900: at most 3800 registers: E2BIG");
  });

  test("keeps its registers after clear", () => {
    const program = newProgram();
    const first = program.call("getpid", []);
    program.descriptor(0);
    program.output(8);
    program.clear();
    expect([program.operations, program.outputs, program.descriptors]).toEqual([[], [], []]);
    expect(program.call("getpid", []).register).toBeGreaterThan(first.register);
  });

  test("text ends with a NUL", () => {
    expect([...nulTerminated("é")]).toEqual([0xc3, 0xa9, 0]);
  });
});
