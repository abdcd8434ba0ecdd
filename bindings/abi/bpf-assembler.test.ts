import { expect, test } from "vitest";
import {
  EXIT,
  emit,
  instructionsOf,
  JNE_K,
  LD_IMM64,
  LDXDW,
  landHere,
  MOV_K,
  registers,
} from "./bpf-assembler.ts";

function words(program: readonly number[]): string[] {
  const bytes = instructionsOf([...program]);
  return Array.from({ length: bytes.length / 8 }, (_, index) =>
    Buffer.from(bytes.subarray(index * 8, index * 8 + 8)).toString("hex"),
  );
}

test("emit writes struct bpf_insn: code, registers, offset, immediate", () => {
  const program: number[] = [];
  expect(emit(program, LDXDW, registers(6, 1), 8, 0)).toBe(0);
  // A negative offset must not reach into the registers, nor a negative immediate beyond its 32 bits.
  expect(emit(program, LDXDW, registers(1, 10), -16, 0)).toBe(1);
  expect(emit(program, MOV_K, 2, 0, -17)).toBe(2);
  expect(words(program)).toEqual(["7916080000000000", "79a1f0ff00000000", "b7020000efffffff"]);
});

test("landHere counts from the instruction after the jump", () => {
  const program: number[] = [];
  const jump = emit(program, JNE_K, 7, 0, 59);
  emit(program, LD_IMM64, 1, 0, -1);
  emit(program, 0, 0, 0, 1);
  landHere(program, jump);
  emit(program, EXIT, 0, 0, 0);
  expect(words(program)[0]).toBe("550702003b000000");
});
