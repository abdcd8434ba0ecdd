/** The part of the protocol buffers' wire format that the CRI needs: integers, text and bytes, messages, maps of texts. */

const VARINT = 0;
const FIXED_64 = 1;
const LENGTH = 2;
const FIXED_32 = 5;

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

/** A field with an integer, a boolean or a value of an enumeration. */
export function number(field: number, value: number | boolean): Buffer {
  return Buffer.concat([varint(BigInt((field << 3) | VARINT)), varint(BigInt(Number(value)))]);
}

export function text(field: number, value: string): Buffer {
  return message(field, Buffer.from(value));
}

export function texts(field: number, values: readonly string[]): Buffer {
  return Buffer.concat(values.map((value) => text(field, value)));
}

/** A field with a message of these fields. */
export function message(field: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([varint(BigInt((field << 3) | LENGTH)), varint(BigInt(body.length)), body]);
}

export function map(field: number, entries: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(entries).map(([key, value]) => message(field, text(1, key), text(2, value))),
  );
}

/** The fields of a message that was received, by number. A field that is not there has its type's zero. */
export class Fields {
  readonly #values = new Map<number, (bigint | Buffer)[]>();

  constructor(data: Buffer) {
    let at = 0;
    const next = (): bigint => {
      let value = 0n;
      for (let shift = 0n; ; shift += 7n) {
        const byte = data.readUInt8(at++);
        value |= BigInt(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
      }
    };
    const bytes = (length: number): Buffer => {
      if (at + length > data.length) throw new Error("a protocol buffer ends within a field");
      at += length;
      return data.subarray(at - length, at);
    };
    while (at < data.length) {
      const key = Number(next());
      const kind = key & 7;
      const values = this.#values.get(key >> 3) ?? [];
      this.#values.set(key >> 3, values);
      if (kind === VARINT) values.push(next());
      else if (kind === LENGTH) values.push(bytes(Number(next())));
      else if (kind === FIXED_64 || kind === FIXED_32) bytes(kind === FIXED_64 ? 8 : 4);
      else throw new Error(`unknown kind ${kind} of a field of a protocol buffer`);
    }
  }

  number(field: number): number {
    const value = this.#values.get(field)?.at(-1);
    return typeof value === "bigint" ? Number(BigInt.asIntN(64, value)) : 0;
  }

  text(field: number): string {
    return this.#buffers(field).at(-1)?.toString() ?? "";
  }

  message(field: number): Fields {
    return new Fields(this.#buffers(field).at(-1) ?? Buffer.alloc(0));
  }

  messages(field: number): Fields[] {
    return this.#buffers(field).map((value) => new Fields(value));
  }

  #buffers(field: number): Buffer[] {
    return (this.#values.get(field) ?? []).filter((value) => Buffer.isBuffer(value));
  }
}
