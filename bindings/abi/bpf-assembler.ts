/**
 * Writes eBPF programs: the instruction set is in Documentation/bpf/standardization/instruction-set.rst of the kernel.
 *
 * Two 32-bit words per instruction, struct bpf_insn (linux/bpf.h): u8 code, u4 destination, u4 source, s16 offset; s32 immediate. Both
 * architectures are little-endian. Plain numbers, as a device program is compiled once per process, where a typed writer costs more than
 * all the rest.
 */
export type BpfProgram = number[];

// Opcodes. K: the operand is the immediate; X: a register. Arithmetic is 64-bit.

/** rD = *(u32 *)(rS + offset) */
export const LDXW = 0x61;
/** rD = *(u64 *)(rS + offset) */
export const LDXDW = 0x79;
/** rD = a 64-bit immediate, in two instructions */
export const LD_IMM64 = 0x18;
/** *(u32 *)(rD + offset) = immediate */
export const ST_W = 0x62;
/** *(u8 *)(rD + offset) = immediate */
export const ST_B = 0x72;
/** *(u64 *)(rD + offset) = rS */
export const STXDW = 0x7b;
export const MOV_K = 0xb7;
export const MOV_X = 0xbf;
export const ADD_K = 0x07;
export const ADD_X = 0x0f;
export const AND_K = 0x57;
export const AND_X = 0x5f;
export const RSH_K = 0x77;
/** Jumps. */
export const JA = 0x05;
export const JEQ_K = 0x15;
/** Unsigned. */
export const JGT_K = 0x25;
/** Jumps if a bit of the immediate is set. */
export const JSET_K = 0x45;
export const JNE_K = 0x55;
export const JNE_X = 0x5d;
/** Calls the kernel function that the immediate numbers. */
export const CALL = 0x85;
export const EXIT = 0x95;

/** The registers of an instruction: the destination is in the lower half of the byte, the source in the upper one. */
export function registers(destination: number, source: number): number {
  return destination | (source << 4);
}

/** Appends an instruction and returns its index. `operands` is a register, or two by `registers`. */
export function emit(
  program: BpfProgram,
  code: number,
  operands: number,
  offset: number,
  immediate: number,
): number {
  return program.push(code | (operands << 8) | ((offset & 0xffff) << 16), immediate) / 2 - 1;
}

/** Sets the target of an earlier jump to the next instruction. Offsets count from the instruction after the jump. */
export function landHere(program: BpfProgram, jump: number): void {
  program[jump * 2] = (program[jump * 2] ?? 0) | ((program.length / 2 - jump - 1) << 16);
}

/** The program as the kernel takes it, an array of struct bpf_insn. */
export function instructionsOf(program: BpfProgram): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new Uint32Array(program).buffer);
}
