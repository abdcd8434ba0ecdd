/**
 * Writes and reads messages by the struct layouts of stub.c, independently of the product's encoder: to check that, and to send messages that it
 * never writes.
 */

export const NO_REGISTER = 0xffff;
export const HEADER_SIZE = 24;
export const OPERATION_SIZE = 64;

export const kinds = ["CONSTANT", "ADDRESS", "REGISTER", "OUTPUT"] as const;
export type Kind = (typeof kinds)[number];

export interface WireHeader {
  readonly body: number;
  readonly ops: number;
  readonly fdCount: number;
  readonly fdFirst: number;
  readonly flags: number;
  readonly output: number;
  readonly reserved: number;
}

export interface WireArgument {
  readonly kind: Kind;
  readonly value: bigint;
}

export interface WireOperation {
  readonly nr: number;
  readonly result: number;
  readonly guardRegister: number;
  readonly guard: number;
  readonly tolerated: readonly number[];
  readonly reserved: number;
  readonly args: readonly WireArgument[];
}

export interface WireMessage {
  readonly header: WireHeader;
  readonly operations: readonly WireOperation[];
  /** The data after the operations. */
  readonly data: Uint8Array;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function decodeMessage(message: Uint8Array): WireMessage {
  const view = viewOf(message);
  const header = {
    body: view.getUint32(0, true),
    ops: view.getUint32(4, true),
    fdCount: view.getUint16(8, true),
    fdFirst: view.getUint16(10, true),
    flags: view.getUint32(12, true),
    output: view.getUint32(16, true),
    reserved: view.getUint32(20, true),
  };
  const operations = Array.from({ length: header.ops }, (_, index) => {
    const start = HEADER_SIZE + OPERATION_SIZE * index;
    return decodeOperation(message.subarray(start, start + OPERATION_SIZE));
  });
  return { header, operations, data: message.subarray(HEADER_SIZE + OPERATION_SIZE * header.ops) };
}

function decodeOperation(bytes: Uint8Array): WireOperation {
  const view = viewOf(bytes);
  const kindBits = view.getUint16(12, true);
  return {
    nr: view.getUint32(0, true),
    result: view.getUint16(4, true),
    guardRegister: view.getUint16(6, true),
    guard: view.getUint8(8),
    tolerated: [view.getUint8(9), view.getUint8(10), view.getUint8(11)],
    reserved: view.getUint16(14, true),
    args: Array.from({ length: 6 }, (_, position) => ({
      kind: kinds[(kindBits >> (2 * position)) & 3] ?? "CONSTANT",
      value: view.getBigUint64(16 + 8 * position, true),
    })),
  };
}

/** An operation in a test: missing fields are zero, and a missing register means none. */
export interface PartialOperation {
  readonly nr: number;
  readonly result?: number;
  readonly guardRegister?: number;
  readonly guard?: number;
  readonly tolerated?: readonly number[];
  readonly args?: readonly (readonly [kind: Kind, value: number | bigint])[];
}

export interface PartialMessage {
  readonly operations?: readonly PartialOperation[];
  readonly data?: Uint8Array;
  /** Header fields that differ from those of the operations and the data. */
  readonly header?: Partial<WireHeader>;
}

export function encodeMessage({
  operations = [],
  data = new Uint8Array(0),
  header = {},
}: PartialMessage): Uint8Array {
  const body = OPERATION_SIZE * operations.length + data.length;
  const message = new Uint8Array(HEADER_SIZE + body);
  const view = viewOf(message);
  view.setUint32(0, header.body ?? body, true);
  view.setUint32(4, header.ops ?? operations.length, true);
  view.setUint16(8, header.fdCount ?? 0, true);
  view.setUint16(10, header.fdFirst ?? 0, true);
  view.setUint32(12, header.flags ?? 0, true);
  view.setUint32(16, header.output ?? 0, true);
  view.setUint32(20, header.reserved ?? 0, true);
  operations.forEach((operation, index) => {
    const start = HEADER_SIZE + OPERATION_SIZE * index;
    encodeOperation(message.subarray(start, start + OPERATION_SIZE), operation);
  });
  message.set(data, HEADER_SIZE + OPERATION_SIZE * operations.length);
  return message;
}

function encodeOperation(bytes: Uint8Array, operation: PartialOperation): void {
  const view = viewOf(bytes);
  const { nr, result = NO_REGISTER, guardRegister = 0, guard = 0, tolerated = [], args = [] } = operation;
  view.setUint32(0, nr, true);
  view.setUint16(4, result, true);
  view.setUint16(6, guardRegister, true);
  view.setUint8(8, guard);
  tolerated.forEach((errno, index) => {
    view.setUint8(9 + index, errno);
  });
  let kindBits = 0;
  args.forEach(([kind, value], position) => {
    kindBits |= kinds.indexOf(kind) << (2 * position);
    view.setBigUint64(16 + 8 * position, BigInt.asUintN(64, BigInt(value)), true);
  });
  view.setUint16(12, kindBits, true);
}
