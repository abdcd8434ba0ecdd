/**
 * The wire format of protocol buffers, as far as criu's messages need it: varints, and length-delimited bytes. A library would be ten
 * times as large, with message descriptions to compile at start-up, for two dozen fields.
 * https://protobuf.dev/programming-guides/encoding/
 */

const VARINT = 0;
const BYTES = 2;
const FIXED = { 1: 8, 5: 4 } as const;

/** A field's value. An absent one is not written, and a list is written as one field per item. */
export type FieldValue = number | boolean | string | Message | readonly (string | Message)[] | undefined;

/** Values by field number. */
export interface Message {
  readonly [field: number]: FieldValue;
}

export function encodeMessage(message: Message): Uint8Array {
  const bytes: number[] = [];
  for (const [number, value] of Object.entries(message)) {
    const values = Array.isArray(value) ? value : [value];
    for (const item of values) writeField(bytes, Number(number), item);
  }
  return Uint8Array.from(bytes);
}

function writeField(bytes: number[], number: number, value: Exclude<FieldValue, readonly unknown[]>): void {
  if (value === undefined) return;
  if (typeof value === "number" || typeof value === "boolean") {
    writeVarint(bytes, number * 8 + VARINT);
    writeVarint(bytes, Number(value));
    return;
  }
  const content = typeof value === "string" ? new TextEncoder().encode(value) : encodeMessage(value);
  writeVarint(bytes, number * 8 + BYTES);
  writeVarint(bytes, content.length);
  for (const byte of content) bytes.push(byte);
}

/** Writes seven bits per byte, the lowest first. Negative numbers are written as 64-bit two's complement. */
function writeVarint(bytes: number[], value: number): void {
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
}

/** A decoded message. Of a field that occurs more than once, it has the last value, as the format requires for singular fields. */
export class Decoded {
  readonly #numbers = new Map<number, bigint>();
  readonly #bytes = new Map<number, Uint8Array>();

  constructor(bytes: Uint8Array) {
    const reader = new Reader(bytes);
    while (!reader.atEnd) {
      const tag = Number(reader.varint());
      const number = Math.floor(tag / 8);
      const type = tag % 8;
      if (type === VARINT) this.#numbers.set(number, reader.varint());
      else if (type === BYTES) this.#bytes.set(number, reader.take(Number(reader.varint())));
      else if (type === 1 || type === 5) reader.take(FIXED[type]);
      else throw malformed(`field ${number} has wire type ${type}`);
    }
  }

  /** An int32, which is sign-extended to 64 bits on the wire. */
  int(field: number): number | undefined {
    const value = this.#numbers.get(field);
    return value === undefined ? undefined : Number(BigInt.asIntN(32, value));
  }

  bool(field: number): boolean | undefined {
    const value = this.#numbers.get(field);
    return value === undefined ? undefined : value !== 0n;
  }

  string(field: number): string | undefined {
    const bytes = this.#bytes.get(field);
    return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
  }

  message(field: number): Decoded | undefined {
    const bytes = this.#bytes.get(field);
    return bytes === undefined ? undefined : new Decoded(bytes);
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw malformed("it ends within a number");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw malformed("a number is longer than 64 bits");
  }

  take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw malformed("it ends within a field");
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }
}

function malformed(reason: string): Error {
  return new Error(`malformed protocol buffer: ${reason}`);
}
