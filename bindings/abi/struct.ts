/**
 * Structs of the kernel as field lists, with one encoder and one decoder.
 *
 * Fields have natural alignment, as C gives them on x86-64 and arm64; both are little-endian.
 */
export type FieldType = "u8" | "u16" | "u32" | "u64" | "s32" | "s64";

export interface Struct {
  /** sizeof, which may be more than the fields take: spare members and padding at the end are not listed. */
  readonly size: number;
  /** Name, type, and for a field that does not follow the one before it, its offset. */
  readonly fields: readonly (readonly [name: string, type: FieldType, offset?: number])[];
}

/** Values of the fields: bigint for those of 64 bits. */
export type StructValues<S extends Struct> = {
  [F in S["fields"][number] as F[0]]: F[1] extends "u64" | "s64" ? bigint : number;
};

const widths: Readonly<Record<FieldType, number>> = { u8: 1, u16: 2, u32: 4, u64: 8, s32: 4, s64: 8 };

/** Offset of each field, in their order. */
export function fieldOffsets(struct: Struct): number[] {
  let end = 0;
  return struct.fields.map(([, type, offset]) => {
    const width = widths[type];
    const start = offset ?? Math.ceil(end / width) * width;
    end = start + width;
    return start;
  });
}

/** Offset of one field, for a value that must be stored into the encoded bytes. */
export function fieldOffset<S extends Struct>(struct: S, name: S["fields"][number][0]): number {
  const index = struct.fields.findIndex(([field]) => field === name);
  const offset = fieldOffsets(struct)[index];
  if (offset === undefined) throw new Error(`the struct has no field "${name}"`);
  return offset;
}

/** Bytes of a struct; fields without a value are zero, and so is all padding. */
export function encodeStruct<S extends Struct>(struct: S, values: Partial<StructValues<S>>): Uint8Array;
export function encodeStruct(
  struct: Struct,
  values: Readonly<Record<string, number | bigint | undefined>>,
): Uint8Array {
  const bytes = new Uint8Array(struct.size);
  const view = new DataView(bytes.buffer);
  const offsets = fieldOffsets(struct);
  struct.fields.forEach(([name, type], index) => {
    const value = values[name];
    if (value !== undefined) writeField(view, offsets[index] ?? 0, type, value);
  });
  return bytes;
}

export function decodeStruct<S extends Struct>(struct: S, bytes: Uint8Array): StructValues<S>;
export function decodeStruct(struct: Struct, bytes: Uint8Array): Record<string, number | bigint> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offsets = fieldOffsets(struct);
  return Object.fromEntries(
    struct.fields.map(([name, type], index) => [name, readField(view, offsets[index] ?? 0, type)]),
  );
}

function writeField(view: DataView, offset: number, type: FieldType, value: number | bigint): void {
  if (typeof value === "bigint") view.setBigUint64(offset, value, true);
  else if (type === "u8") view.setUint8(offset, value);
  else if (type === "u16") view.setUint16(offset, value, true);
  else view.setUint32(offset, value, true);
}

function readField(view: DataView, offset: number, type: FieldType): number | bigint {
  switch (type) {
    case "u8":
      return view.getUint8(offset);
    case "u16":
      return view.getUint16(offset, true);
    case "u32":
      return view.getUint32(offset, true);
    case "s32":
      return view.getInt32(offset, true);
    case "u64":
      return view.getBigUint64(offset, true);
    case "s64":
      return view.getBigInt64(offset, true);
  }
}
