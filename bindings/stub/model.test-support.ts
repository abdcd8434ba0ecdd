import { HEADER_SIZE, NO_REGISTER, OPERATION_SIZE } from "./wire.test-support.ts";

/**
 * A second implementation of stub.c, for fuzzing to compare with. It also tells in advance whether a program would make system calls that a test
 * must not make, even if the program changes itself while it runs.
 */

const REGISTERS = 4096;
const MAX_BODY = 16 << 20;
const [EINVAL, ENOSYS, EPROTO, ECANCELED] = [22, 38, 71, 125];
const [STORE, SET_CHANNEL, COPY, LOAD] = [0x10000, 0x10001, 0x10002, 0x10003];
const LAST_CALL = 0x10005;
const QUIET = 1;

/** A number, an address in the program, or a value that the model can't know: a pid, or an address in an earlier program. */
type Value = bigint | { readonly at: number } | "unknown";

/** The stub's next step depends on a value that the model can't know, or is one that a test must not make. */
export class Unpredictable extends Error {}

export interface ExpectedReply {
  readonly ran: number;
  readonly error: number;
  /** Results, then outputs; a byte that the model can't know is undefined. */
  readonly bytes: readonly (number | undefined)[];
}

export type Expected =
  | { readonly reply: ExpectedReply | undefined; readonly exit?: undefined }
  | { readonly exit: number };

export interface SafeCalls {
  /** A system call that the kernel doesn't have. */
  readonly missing: number;
  readonly getpid: number;
  readonly channel: number;
}

export class StubModel {
  readonly #calls: SafeCalls;
  #registers = new Map<number, Value>();
  #failed = false;
  #exitCode = 0;
  #hasChannel = true;

  constructor(calls: SafeCalls) {
    this.#calls = calls;
  }

  copy(): StubModel {
    const other = new StubModel(this.#calls);
    other.#registers = new Map(this.#registers);
    other.#failed = this.#failed;
    other.#exitCode = this.#exitCode;
    other.#hasChannel = this.#hasChannel;
    return other;
  }

  /** The exit code if the stream ends after so many bytes of a message. */
  end(length: number): number {
    if (length === 0) return this.#exitCode;
    return length < HEADER_SIZE ? this.#endOfHeader() : EPROTO;
  }

  #endOfHeader(): number {
    return this.#exitCode === 0 ? EPROTO : this.#exitCode;
  }

  receive(message: Uint8Array): Expected {
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    const [body, ops, flags, output] = [0, 4, 12, 16].map((offset) => view.getUint32(offset, true));
    if (body === undefined || ops === undefined || flags === undefined || output === undefined)
      return { exit: EPROTO };
    if (view.getUint16(8, true) !== 0 || view.getUint16(10, true) > REGISTERS) return { exit: EPROTO };
    if (body > MAX_BODY || output > MAX_BODY || ops * OPERATION_SIZE > body) return { exit: EPROTO };
    const program = new ProgramModel(message.subarray(HEADER_SIZE, HEADER_SIZE + body), output);
    let ran = 0;
    let error = this.#failed ? ECANCELED : 0;
    while (error === 0 && ran < ops) error = this.#operation(program, ran++);
    this.#failed = error !== 0;
    for (const [register, value] of this.#registers)
      if (typeof value === "object") this.#registers.set(register, "unknown");
    const quiet = (flags & QUIET) !== 0;
    if (!this.#hasChannel) return { exit: error === 0 && quiet ? this.#endOfHeader() : EPROTO };
    if (error !== 0 && quiet) {
      this.#failed = false;
      this.#exitCode = 127;
    }
    return { reply: error === 0 && quiet ? undefined : { ran, error, bytes: program.reply(ran) } };
  }

  /** Runs one operation; returns the errno that stops the program. */
  #operation(program: ProgramModel, index: number): number {
    const op = program.operation(index);
    const args = this.#arguments(program, op);
    let result: Value = 0n;
    let failed = false;
    if (args === undefined) {
      result = BigInt(-EINVAL);
      failed = true;
    } else if (this.#guardHolds(op)) {
      result = this.#run(program, op.nr, args);
      failed = typeof result === "bigint" && isErrno(result) && !isTolerated(op, result);
      if (op.result !== NO_REGISTER) this.#registers.set(op.result, result);
    }
    program.write(8 * index, 8, result);
    return failed && typeof result === "bigint" ? Number(-result) : 0;
  }

  #arguments(program: ProgramModel, op: Operation): Value[] | undefined {
    if (op.result !== NO_REGISTER && op.result >= REGISTERS) return undefined;
    if (op.guard > 4 || (op.guard !== 0 && op.guardRegister >= REGISTERS)) return undefined;
    const values: Value[] = [];
    for (const [position, arg] of op.args.entries()) {
      const kind = (op.kinds >> (2 * position)) & 3;
      const most = [undefined, program.body, REGISTERS - 1, program.output][kind];
      if (most !== undefined && arg > BigInt(most)) return undefined;
      const value: Value =
        kind === 0
          ? BigInt.asIntN(64, arg)
          : kind === 2
            ? (this.#registers.get(Number(arg)) ?? 0n)
            : { at: Number(arg) + (kind === 3 ? program.body : 0) };
      values.push(value);
    }
    return values;
  }

  #guardHolds({ guard, guardRegister }: Operation): boolean {
    if (guard === 0) return true;
    const value = this.#registers.get(guardRegister) ?? 0n;
    if (value === "unknown") throw new Unpredictable("a guard");
    const sign = typeof value === "object" || value > 0n ? 1 : value < 0n ? -1 : 0;
    return [sign >= 0, sign < 0, sign === 0, sign > 0][guard - 1] ?? false;
  }

  #run(program: ProgramModel, nr: number, args: readonly Value[]): Value {
    const [first = 0n, second = 0n, third = 0n] = args;
    const invalid = BigInt(-EINVAL);
    if (nr === this.#calls.missing) return BigInt(-ENOSYS);
    if (nr === this.#calls.getpid) return "unknown";
    if (nr === COPY) return first;
    if (nr === STORE) return program.store(first, second, third) ? 0n : invalid;
    if (nr === LOAD) return program.load(first, second) ?? invalid;
    if (nr === SET_CHANNEL) {
      if (typeof first !== "bigint") throw new Unpredictable("a channel");
      this.#hasChannel = BigInt.asUintN(32, first) === BigInt(this.#calls.channel);
      return 0n;
    }
    if (nr > LAST_CALL) return invalid;
    throw new Unpredictable(`the call ${nr}`);
  }
}

interface Operation {
  readonly nr: number;
  readonly result: number;
  readonly guardRegister: number;
  readonly guard: number;
  readonly tolerated: readonly number[];
  readonly kinds: number;
  readonly args: readonly bigint[];
}

function isErrno(result: bigint): boolean {
  return result < 0n && result >= -4095n;
}

function isTolerated({ tolerated }: Operation, result: bigint): boolean {
  return tolerated.some((errno) => errno === 255 || (errno !== 0 && BigInt(-errno) === result));
}

/** The memory of a program: its operations, which the results overwrite, its data and its outputs. */
class ProgramModel {
  readonly body: number;
  readonly output: number;
  readonly #bytes: (number | undefined)[];

  constructor(body: Uint8Array, output: number) {
    this.body = body.length;
    this.output = output;
    this.#bytes = [...body, ...new Array<number>(output).fill(0)];
  }

  reply(ran: number): (number | undefined)[] {
    return [...this.#bytes.slice(0, 8 * ran), ...this.#bytes.slice(this.body)];
  }

  operation(index: number): Operation {
    const at = OPERATION_SIZE * index;
    const number = (offset: number, width: number) => Number(this.#known(at + offset, width));
    return {
      nr: number(0, 4),
      result: number(4, 2),
      guardRegister: number(6, 2),
      guard: number(8, 1),
      tolerated: [9, 10, 11].map((offset) => number(offset, 1)),
      kinds: number(12, 2),
      args: [16, 24, 32, 40, 48, 56].map((offset) => this.#known(at + offset, 8)),
    };
  }

  #known(at: number, width: number): bigint {
    const value = this.#read(at, width);
    if (value === "unknown") throw new Unpredictable("an operation");
    return value;
  }

  #read(at: number, width: number): bigint | "unknown" {
    let value = 0n;
    for (let i = width - 1; i >= 0; i--) {
      const byte = this.#bytes[at + i];
      if (byte === undefined) return "unknown";
      value = (value << 8n) | BigInt(byte);
    }
    return value;
  }

  write(at: number, width: number, value: Value): void {
    for (let i = 0; i < width; i++)
      this.#bytes[at + i] =
        typeof value === "bigint" ? Number(BigInt.asUintN(8, value >> BigInt(8 * i))) : undefined;
  }

  store(address: Value, value: Value, width: Value): boolean {
    const place = this.#inside(address, width, [4n, 8n]);
    if (place === undefined) return false;
    this.write(place.at, place.width, value);
    return true;
  }

  load(address: Value, width: Value): Value | undefined {
    const place = this.#inside(address, width, [2n, 4n]);
    return place && this.#read(place.at, place.width);
  }

  #inside(address: Value, width: Value, widths: readonly bigint[]) {
    if (typeof width === "object") return undefined;
    if (width === "unknown" || address === "unknown") throw new Unpredictable("a place");
    if (!widths.includes(width) || typeof address === "bigint") return undefined;
    const end = address.at + Number(width);
    return end <= this.body + this.output ? { at: address.at, width: Number(width) } : undefined;
  }
}
