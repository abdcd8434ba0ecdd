import { byteText } from "../../../bindings/abi/byte-text.ts";

/** Format of a file by its first bytes, as execve(2) tells it: fs/binfmt_script.c and fs/binfmt_elf.c of the kernel, elf(5). */
export type ExecutableFormat =
  /** The interpreter's path is byte text. */
  | { readonly kind: "script"; readonly interpreter: string }
  | { readonly kind: "elf"; readonly header: ElfHeader }
  | { readonly kind: "unknown" };

export interface ElfHeader {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly type: number;
  readonly machine: number;
  /** The table of program headers in the file: its offset, the size of an entry and its length, in bytes. */
  readonly segments: { readonly offset: number; readonly entry: number; readonly length: number };
}

/** A range of a file, in bytes. */
export interface Range {
  readonly offset: number;
  readonly length: number;
}

/** Number of bytes that the kernel reads of a file to tell its format: BINPRM_BUF_SIZE. */
export const FORMAT_LENGTH = 256;

/** The format of a file that begins with these bytes, at most FORMAT_LENGTH of them. */
export function executableFormat(begin: Uint8Array): ExecutableFormat {
  const view = Buffer.from(begin);
  if (view.toString("latin1", 0, 2) === "#!") return { kind: "script", interpreter: interpreterOf(view) };
  const header = view.toString("latin1", 0, 4) === "\x7fELF" ? elfHeader(view) : undefined;
  return header === undefined ? { kind: "unknown" } : { kind: "elf", header };
}

/** The interpreter: the first word after `#!`. Only spaces, tabs and NUL bytes end it, so the carriage return of a CRLF is part of it. */
function interpreterOf(begin: Buffer): string {
  const [line = ""] = byteText(begin.subarray(2, FORMAT_LENGTH)).split("\n");
  return /^[ \t]*([^ \t\0]*)/.exec(line)?.[1] ?? "";
}

function elfHeader(begin: Buffer): ElfHeader | undefined {
  const ELF_64_SIZE = 64;
  if (begin.length < ELF_64_SIZE) return undefined;
  const bits = begin[4] === 2 ? 64 : 32;
  const littleEndian = begin[5] !== 2;
  const number = reader(begin, littleEndian);
  const entry = number(bits === 64 ? 54 : 42, 2);
  return {
    bits,
    littleEndian,
    type: number(16, 2),
    machine: number(18, 2),
    segments: {
      offset: bits === 64 ? number(32, 8) : number(28, 4),
      entry,
      length: entry * number(bits === 64 ? 56 : 44, 2),
    },
  };
}

/** Range of the ELF interpreter's path, from the table of program headers; undefined for a static executable. */
export function interpreterRange(
  { bits, littleEndian, segments }: ElfHeader,
  table: Uint8Array,
): Range | undefined {
  const PT_INTERP = 3;
  const SMALLEST_ENTRY = bits === 64 ? 56 : 32;
  if (segments.entry < SMALLEST_ENTRY) return undefined;
  const number = reader(Buffer.from(table), littleEndian);
  for (let at = 0; at + segments.entry <= table.length; at += segments.entry) {
    if (number(at, 4) !== PT_INTERP) continue;
    return bits === 64
      ? { offset: number(at + 8, 8), length: number(at + 32, 8) }
      : { offset: number(at + 4, 4), length: number(at + 16, 4) };
  }
  return undefined;
}

function reader(bytes: Buffer, littleEndian: boolean): (offset: number, width: 2 | 4 | 8) => number {
  return (offset, width) => {
    if (width === 8)
      return Number(littleEndian ? bytes.readBigUInt64LE(offset) : bytes.readBigUInt64BE(offset));
    return littleEndian ? bytes.readUIntLE(offset, width) : bytes.readUIntBE(offset, width);
  };
}

/** Whether the file can be executed (ET_EXEC or ET_DYN), unlike an object file or a core dump. */
export function isProgram({ type }: ElfHeader): boolean {
  return type === 2 || type === 3;
}

export function machineName({ bits, littleEndian, machine }: ElfHeader): string {
  const name = MACHINES[machine];
  if (name !== undefined) return name;
  return `machine ${machine} (${bits} bits, ${littleEndian ? "little" : "big"} endian)`;
}

/** EM_* of elf.h, by the usual names of image architectures. */
const MACHINES: Readonly<Record<number, string>> = {
  3: "i386",
  8: "mips",
  20: "ppc",
  21: "ppc64",
  22: "s390x",
  40: "arm (32 bits)",
  62: "x86-64",
  183: "arm64",
  243: "riscv64",
  258: "loong64",
};

/** The EM_* that this machine's kernel runs without an emulator. */
export function hostMachine(architecture: string): {
  readonly name: string;
  readonly runs: readonly number[];
} {
  return architecture === "arm64" ? { name: "arm64", runs: [183, 40] } : { name: "x86-64", runs: [62, 3] };
}
