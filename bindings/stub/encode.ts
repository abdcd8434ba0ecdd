import { errnoNumber } from "../abi/errno.ts";
import { numbers } from "../ffi/syscall.ts";
import {
  type Argument,
  cText,
  type Data,
  type Guard,
  type Operation,
  type Program,
  type StubCall,
} from "./program.ts";

/** Sizes and numbers that stub.c knows as `struct header`, `struct op` and the enums beside them. */
const HEADER_SIZE = 24;
const OPERATION_SIZE = 64;
const NO_REGISTER = 0xffff;
const ANY_ERRNO = 255;
const FLAG_QUIET = 1;
const CONSTANT = 0;
const ADDRESS = 1;
const REGISTER = 2;
const STUB_CALLS: Readonly<Record<StubCall, number>> = {
  store: 0x10000,
  "set-channel": 0x10001,
  copy: 0x10002,
  load: 0x10003,
};
const GUARDS: Readonly<Record<Guard, number>> = { ok: 1, failed: 2, zero: 3, positive: 4 };

/** Registers that take the descriptors as they arrive; the program's first operations copy them to where they are wanted. */
const LANDING_REGISTER = 3800;
/** Most descriptors of one message: SCM_MAX_FD of unix(7). */
const MAX_DESCRIPTORS = 253;

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

/** Places of the data in the body. */
class Layout {
  readonly #offsets = new Map<Uint8Array | string, number>();
  readonly #chunks: { readonly bytes: Uint8Array; readonly offset: number }[] = [];
  #end: number;

  constructor(start: number) {
    this.#end = start;
  }

  get end(): number {
    return this.#end;
  }

  place(bytes: Uint8Array, key: Uint8Array | string = bytes): number {
    const known = this.#offsets.get(key);
    if (known !== undefined) return known;
    const offset = this.#end;
    this.#offsets.set(key, offset);
    this.#chunks.push({ bytes, offset });
    this.#end = (offset + bytes.length + 7) & ~7;
    return offset;
  }

  offsetOf(argument: string | Data): number {
    if (typeof argument === "string") {
      return this.#offsets.get(argument) ?? this.place(cText(argument), argument);
    }
    return this.place(argument.bytes) + argument.offset;
  }

  copyTo(body: Uint8Array): void {
    for (const { bytes, offset } of this.#chunks) body.set(bytes, offset);
  }
}

export function encodeProgram(program: Program): EncodedProgram {
  const { descriptors } = program;
  if (descriptors.length > MAX_DESCRIPTORS) {
    throw new Error(`a program takes at most ${MAX_DESCRIPTORS} descriptors`);
  }
  const operations = [
    ...descriptors.map(({ into }, index) => copyFromLanding(index, into)),
    ...program.operations,
  ];
  const layout = new Layout(operations.length * OPERATION_SIZE);
  // Outputs come first, so that they are one run of bytes.
  const output = layout.end;
  for (const { bytes } of program.outputs) layout.place(bytes);
  const outputLength = layout.end - output;
  const encoded = operations.map((operation) =>
    operation.args.map((argument) => encodeArgument(argument, layout)),
  );

  const message = new Uint8Array(HEADER_SIZE + layout.end);
  const header = new DataView(message.buffer);
  header.setUint32(0, layout.end, true);
  header.setUint32(4, operations.length, true);
  header.setUint16(8, descriptors.length, true);
  header.setUint16(10, LANDING_REGISTER, true);
  header.setUint32(12, program.quiet ? FLAG_QUIET : 0, true);
  header.setUint32(16, output, true);
  header.setUint32(20, outputLength, true);
  operations.forEach((operation, index) => {
    writeOperation(header, HEADER_SIZE + index * OPERATION_SIZE, operation, encoded[index] ?? []);
  });
  layout.copyTo(message.subarray(HEADER_SIZE));
  return {
    message,
    descriptors: descriptors.map(({ fd }) => fd),
    prologue: descriptors.length,
    outputLength,
  };
}

function copyFromLanding(index: number, into: Operation["into"]): Operation {
  return {
    call: "copy",
    args: [{ register: LANDING_REGISTER + index }],
    into,
    guard: undefined,
    tolerate: [],
    pointer: "",
    purpose: "take a descriptor",
    path: "",
  };
}

interface EncodedArgument {
  readonly kind: number;
  readonly value: number | bigint;
}

function encodeArgument(argument: Argument, layout: Layout): EncodedArgument {
  if (typeof argument === "number" || typeof argument === "bigint")
    return { kind: CONSTANT, value: argument };
  if (typeof argument === "string") return { kind: ADDRESS, value: layout.offsetOf(argument) };
  if ("register" in argument) return { kind: REGISTER, value: argument.register };
  return { kind: ADDRESS, value: layout.offsetOf(argument) };
}

function isStubCall(call: Operation["call"]): call is StubCall {
  return call in STUB_CALLS;
}

function writeOperation(
  view: DataView,
  start: number,
  operation: Operation,
  args: readonly EncodedArgument[],
): void {
  const { call } = operation;
  const number = isStubCall(call) ? STUB_CALLS[call] : numbers[call];
  view.setUint32(start, number, true);
  view.setUint16(start + 4, operation.into?.register ?? NO_REGISTER, true);
  view.setUint16(start + 6, operation.guard?.on.register ?? 0, true);
  view.setUint8(start + 8, operation.guard === undefined ? 0 : GUARDS[operation.guard.is]);
  operation.tolerate.forEach((name, index) => {
    view.setUint8(start + 9 + index, name === "any" ? ANY_ERRNO : errnoNumber(name));
  });
  let kinds = 0;
  args.forEach(({ kind, value }, index) => {
    kinds |= kind << (2 * index);
    if (typeof value === "bigint") view.setBigUint64(start + 16 + 8 * index, value, true);
    else {
      view.setUint32(start + 16 + 8 * index, value >>> 0, true);
      view.setInt32(start + 20 + 8 * index, Math.floor(value / 0x1_0000_0000), true);
    }
  });
  view.setUint16(start + 12, kinds, true);
}
