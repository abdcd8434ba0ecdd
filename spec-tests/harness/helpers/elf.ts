export const MACHINES = { x64: 62, arm64: 183 } as const;

export interface ElfParts {
  readonly machine: number;
  /** ET_REL 1, ET_EXEC 2, ET_DYN 3. */
  readonly type?: number;
  /** Path in PT_INTERP; a static executable without. */
  readonly interpreter?: string;
}

/** An executable of elf(5) in 64 bits, little endian: its headers, and code that nobody gets to run. */
export function elfFile({ machine, type = 3, interpreter }: ElfParts): Buffer {
  const HEADER = 64;
  const SEGMENT = 56;
  const PT_LOAD = 1;
  const PT_INTERP = 3;
  const file = Buffer.alloc(4096);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(file);
  file.writeUInt16LE(type, 16);
  file.writeUInt16LE(machine, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(1024n, 24);
  file.writeBigUInt64LE(BigInt(HEADER), 32);
  file.writeUInt16LE(HEADER, 52);
  file.writeUInt16LE(SEGMENT, 54);
  file.writeUInt16LE(interpreter === undefined ? 1 : 2, 56);
  const segment = (index: number, kind: number, offset: number, length: number) => {
    const at = HEADER + index * SEGMENT;
    file.writeUInt32LE(kind, at);
    file.writeUInt32LE(5, at + 4);
    for (const field of [8, 16, 24]) file.writeBigUInt64LE(BigInt(offset), at + field);
    for (const field of [32, 40]) file.writeBigUInt64LE(BigInt(length), at + field);
    file.writeBigUInt64LE(4096n, at + 48);
  };
  segment(0, PT_LOAD, 0, file.length);
  if (interpreter !== undefined) {
    segment(1, PT_INTERP, 512, Buffer.byteLength(interpreter) + 1);
    file.write(interpreter, 512);
  }
  return file;
}
