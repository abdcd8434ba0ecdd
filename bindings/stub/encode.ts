import { errnoNumber } from "../abi/errno.ts";
import { numbers as numbersOfThisMachine, type SyscallNumbers } from "../ffi/syscall.ts";
import {
  type Argument,
  type Data,
  type Guard,
  LANDING_REGISTER,
  type Operation,
  type Program,
  type StubCall,
} from "./program.ts";

/** Sizes and numbers that stub.c knows as `struct header`, `struct op` and the enums beside them. */
const HEADER_SIZE = 24;
const OPERATION_SIZE = 64;
const WORDS_PER_OPERATION = OPERATION_SIZE / 4;
const NO_REGISTER = 0xffff;
const ANY_ERRNO = 255;
const MAX_TOLERATED = 3;
const FLAG_QUIET = 1;
const CONSTANT = 0;
const ADDRESS = 1;
const REGISTER = 2;
const OUTPUT = 3;
const STUB_CALLS: Readonly<Record<StubCall, number>> = {
  store: 0x10000,
  "set-channel": 0x10001,
  copy: 0x10002,
  load: 0x10003,
  await: 0x10004,
};
const GUARDS: Readonly<Record<Guard, number>> = { ok: 1, failed: 2, zero: 3, positive: 4 };

/** Most descriptors of one message: SCM_MAX_FD of unix(7). */
const MAX_DESCRIPTORS = 253;
const TWO_TO_32 = 0x1_0000_0000;

export interface EncodedProgram {
  /** Header and body. */
  readonly message: Uint8Array;
  /** Descriptors to send along with it. */
  readonly descriptors: readonly number[];
  /** Operations that were put in front of the program's own. */
  readonly prologue: number;
  /** Bytes of output that the reply ends with. */
  readonly outputLength: number;
}

/**
 * Writes a program as the stub reads it. This runs once, cold, with hundreds of operations: plain loops over typed arrays take a
 * fifth of the time that closures and a DataView take.
 */
export function encodeProgram(program: Program, numbers = numbersOfThisMachine): EncodedProgram {
  const { descriptors, operations } = program;
  const prologue = descriptors.length;
  if (prologue > MAX_DESCRIPTORS) throw new Error(`a program takes at most ${MAX_DESCRIPTORS} descriptors`);
  const writer = new ProgramWriter(prologue + operations.length, program.outputs, numbers);
  for (const { into } of descriptors) writer.copyFromLanding(into.register);
  for (const operation of operations) writer.write(operation);
  const fds: number[] = [];
  for (const { fd } of descriptors) fds.push(fd);
  return {
    message: writer.finish(prologue, program.quiet ? FLAG_QUIET : 0),
    descriptors: fds,
    prologue,
    outputLength: writer.outputLength,
  };
}

class ProgramWriter {
  readonly #count: number;
  readonly #numbers: SyscallNumbers;
  readonly #words: Uint32Array;
  readonly #strings = new Map<string, number>();
  readonly #places = new Map<Uint8Array, number>();
  readonly #outputs = new Map<Uint8Array, number>();
  #data = Buffer.allocUnsafe(16 * 1024);
  #dataLength = 0;
  #index = 0;
  /** Bytes of all outputs, each beginning at a multiple of 8. */
  readonly outputLength: number;

  constructor(count: number, outputs: readonly Data[], numbers: SyscallNumbers) {
    this.#count = count;
    this.#numbers = numbers;
    this.#words = new Uint32Array(count * WORDS_PER_OPERATION);
    let length = 0;
    for (const { bytes } of outputs) {
      this.#outputs.set(bytes, length);
      length += (bytes.length + 7) & ~7;
    }
    this.outputLength = length;
  }

  copyFromLanding(register: number): void {
    const words = this.#words;
    const start = this.#index * WORDS_PER_OPERATION;
    words[start] = STUB_CALLS.copy;
    words[start + 1] = register;
    words[start + 3] = REGISTER;
    words[start + 4] = LANDING_REGISTER + this.#index;
    this.#index += 1;
  }

  write({ call, args, into, guard, tolerate }: Operation): void {
    const words = this.#words;
    const start = this.#index * WORDS_PER_OPERATION;
    words[start] = isStubCall(call) ? STUB_CALLS[call] : this.#numbers[call];
    words[start + 1] = (into === undefined ? NO_REGISTER : into.register) | ((guard?.on.register ?? 0) << 16);
    if (tolerate.length > MAX_TOLERATED)
      throw new Error(`an operation tolerates at most ${MAX_TOLERATED} errors`);
    let flags = guard === undefined ? 0 : GUARDS[guard.is];
    for (let position = 0; position < tolerate.length; position++) {
      const name = tolerate[position] ?? "";
      flags |= (name === "any" ? ANY_ERRNO : errnoNumber(name)) << (8 * (position + 1));
    }
    words[start + 2] = flags;
    let kinds = 0;
    for (let position = 0; position < args.length; position++) {
      const argument = args[position];
      const word = start + 4 + 2 * position;
      // Most are small numbers: CONSTANT, with an upper half of 0.
      if (typeof argument === "number" && argument >= 0 && argument < TWO_TO_32) words[word] = argument;
      else if (argument !== undefined) kinds |= this.#argument(word, argument) << (2 * position);
    }
    words[start + 3] = kinds;
    this.#index += 1;
  }

  /** Writes an argument's value and returns its kind. */
  #argument(word: number, argument: Argument): number {
    const words = this.#words;
    if (typeof argument === "number") {
      words[word] = argument;
      words[word + 1] = Math.floor(argument / TWO_TO_32);
      return CONSTANT;
    }
    if (typeof argument === "string") {
      words[word] = this.#string(argument);
      return ADDRESS;
    }
    if (typeof argument === "bigint") {
      words[word] = Number(argument & 0xffffffffn);
      words[word + 1] = Number((argument >> 32n) & 0xffffffffn);
      return CONSTANT;
    }
    if ("register" in argument) {
      words[word] = argument.register;
      return REGISTER;
    }
    const output = this.#outputs.get(argument.bytes);
    if (output !== undefined) {
      words[word] = output + argument.offset;
      return OUTPUT;
    }
    words[word] = this.#place(argument.bytes) + argument.offset;
    return ADDRESS;
  }

  #string(text: string): number {
    const known = this.#strings.get(text);
    if (known !== undefined) return known;
    const data = this.#reserve(3 * text.length + 1);
    const at = this.#dataLength;
    const length = data.write(text, at);
    data[at + length] = 0;
    this.#dataLength = (at + length + 8) & ~7;
    const offset = this.#count * OPERATION_SIZE + at;
    this.#strings.set(text, offset);
    return offset;
  }

  #place(bytes: Uint8Array): number {
    const known = this.#places.get(bytes);
    if (known !== undefined) return known;
    const at = this.#dataLength;
    this.#reserve(bytes.length).set(bytes, at);
    this.#dataLength = (at + bytes.length + 7) & ~7;
    const offset = this.#count * OPERATION_SIZE + at;
    this.#places.set(bytes, offset);
    return offset;
  }

  /** Makes room for so many more bytes of data, and the gap behind them. */
  #reserve(length: number): Buffer {
    const needed = this.#dataLength + length + 8;
    if (needed > this.#data.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#data.length));
      larger.set(this.#data.subarray(0, this.#dataLength));
      this.#data = larger;
    }
    return this.#data;
  }

  finish(descriptors: number, flags: number): Uint8Array {
    const operationBytes = this.#count * OPERATION_SIZE;
    const body = operationBytes + this.#dataLength;
    const message = new Uint8Array(HEADER_SIZE + body);
    const header = new Uint32Array(message.buffer, 0, HEADER_SIZE / 4);
    header[0] = body;
    header[1] = this.#count;
    header[2] = descriptors | (LANDING_REGISTER << 16);
    header[3] = flags;
    header[4] = this.outputLength;
    message.set(new Uint8Array(this.#words.buffer), HEADER_SIZE);
    message.set(this.#data.subarray(0, this.#dataLength), HEADER_SIZE + operationBytes);
    return message;
  }
}

function isStubCall(call: Operation["call"]): call is StubCall {
  return call in STUB_CALLS;
}
