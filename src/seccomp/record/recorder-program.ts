// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The second licence is for the kernel: bpf_probe_read_kernel and bpf_get_current_task are for programs under the GPL.
import {
  BPF_FUNC_current_task_under_cgroup,
  BPF_FUNC_get_current_comm,
  BPF_FUNC_get_current_task,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_map_update_elem,
  BPF_FUNC_probe_read_kernel,
  BPF_NOEXIST,
  BPF_PSEUDO_MAP_FD,
} from "../../../bindings/abi/bpf.ts";
import {
  ADD_K,
  ADD_X,
  AND_K,
  AND_X,
  type BpfProgram,
  CALL,
  EXIT,
  emit,
  instructionsOf,
  JA,
  JEQ_K,
  JGT_K,
  JNE_K,
  JNE_X,
  JSET_K,
  LD_IMM64,
  LDXDW,
  LDXW,
  landHere,
  MOV_K,
  MOV_X,
  registers,
  ST_B,
  ST_W,
  STXDW,
} from "../../../bindings/abi/bpf-assembler.ts";
import { EEXIST } from "../../../bindings/abi/errno.ts";
import { NUMBERS } from "./call-record.ts";

/** The licence that the kernel is told. */
export const LICENCE = "GPL";

/** Kinds of system call of one kernel: of the machine's own architecture, of its 32-bit sibling, and of x32. */
export const NATIVE = 0;
export const COMPAT = 1;
export const X32 = 2;

/**
 * The one value of the map of calls: a byte for each number of each kind, and two more. A byte is 1 if it has occurred: a call with the
 * number; a call with a number that is too high; a value for which the map of values had no room.
 */
export const OTHER_NUMBER = 3 * NUMBERS;
export const LOST_VALUE = OTHER_NUMBER + 1;
export const CALLS_SIZE = OTHER_NUMBER + 8;

/** A key of the map of values: u64 number, u64 value. Its own values are 4 bytes that mean nothing. */
export const VALUE_KEY_SIZE = 16;

export interface RecorderMaps {
  /** BPF_MAP_TYPE_CGROUP_ARRAY: the container's cgroup. Nothing is recorded while it is empty. */
  readonly cgroup: number;
  readonly calls: number;
  readonly values: number;
}

export interface WatchedCall {
  /** Of the native architecture. */
  readonly number: number;
  readonly index: number;
  readonly mask: bigint;
}

export interface RecorderOptions {
  readonly machine: Machine;
  readonly maps: RecorderMaps;
  /** comm of a process that is still the runtime's own stub, not longer than 15 bytes. */
  readonly stub: string;
  /** Number of execve(2), the stub's last call, which is the container's first. */
  readonly execve: number;
  readonly watched: readonly WatchedCall[];
}

/** What differs between the processors that runts supports. Offsets are in bytes. */
export interface Machine {
  /** Of the arguments of a system call in struct pt_regs. */
  readonly argumentOffsets: readonly number[];
  /** What tells a 32-bit call: a word of struct task_struct or of struct pt_regs, and the bit in it. */
  readonly compat: { readonly of: "task" | "registers"; readonly offset: number; readonly bit: number };
  readonly hasX32: boolean;
}

/** arch/x86/include/asm/ptrace.h and thread_info.h. thread_info comes first in task_struct; its status is at 16 since Linux 5.11. */
const X64: Machine = {
  argumentOffsets: [112, 104, 96, 56, 72, 64],
  compat: { of: "task", offset: 16, bit: 0x2 /* TS_COMPAT */ },
  hasX32: true,
};

/** arch/arm64/include/asm/ptrace.h. The first argument is in orig_x0: the result takes the place of x0. */
const ARM64: Machine = {
  argumentOffsets: [272, 8, 16, 24, 32, 40],
  compat: { of: "registers", offset: 264, bit: 0x10 /* PSR_MODE32_BIT of pstate */ },
  hasX32: false,
};

export const machines: Readonly<Record<"x64" | "arm64", Machine>> = { x64: X64, arm64: ARM64 };

/** __X32_SYSCALL_BIT (asm/unistd.h) */
const X32_BIT = 0x40000000;

// Registers. Calls of kernel functions change 0 to 5; 10 is the end of the stack.
const REGS = 6;
const NUMBER = 7;
const INDEX = 8;
const CALLS = 9;
const STACK = 10;

// Places on the stack.
const AT_ZERO = -4;
const AT_WORD = -16;
const AT_COMM = -32;
const AT_KEY = -48;
const AT_KEY_VALUE = AT_KEY + 8;

/**
 * A program for the raw tracepoint sys_enter (linux/bpf.h: struct bpf_raw_tracepoint_args with struct pt_regs *regs and long id), which the
 * kernel runs at each system call of each process, once seccomp has let it pass (syscall_trace_enter in kernel/entry/common.c). It notes
 * those of processes in the cgroup and below it.
 *
 * A process that enters the container, its init or one of `exec`, is the stub first. What the stub calls is the runtime's business, and not
 * subject to the container's filter, but for the last call, the execve.
 */
export function assembleRecorder(options: RecorderOptions): Uint8Array<ArrayBuffer> {
  const program: BpfProgram = [];
  const leaving: number[] = [];
  const { machine, maps, watched } = options;
  leaveOutsideCgroup(program, maps, leaving);
  emit(program, LDXDW, registers(NUMBER, REGS), 8, 0);
  emit(program, LDXDW, registers(REGS, REGS), 0, 0);
  leaveForStub(program, options, leaving);
  findIndex(program, machine);
  noteCall(program, maps, leaving);
  noteValues(program, maps, machine, watched);
  for (const jump of leaving) landHere(program, jump);
  emit(program, MOV_K, 0, 0, 0);
  emit(program, EXIT, 0, 0, 0);
  return instructionsOf(program);
}

function leaveOutsideCgroup(program: BpfProgram, { cgroup }: RecorderMaps, leaving: number[]): void {
  emit(program, MOV_X, registers(REGS, 1), 0, 0);
  loadMap(program, 1, cgroup);
  emit(program, MOV_K, 2, 0, 0);
  emit(program, CALL, 0, 0, BPF_FUNC_current_task_under_cgroup);
  leaving.push(emit(program, JNE_K, 0, 0, 1));
}

function leaveForStub(program: BpfProgram, { stub, execve }: RecorderOptions, leaving: number[]): void {
  const comm = new DataView(new ArrayBuffer(16));
  for (let index = 0; index < stub.length; index++) comm.setUint8(index, stub.charCodeAt(index));
  stackAddress(program, 1, AT_COMM);
  emit(program, MOV_K, 2, 0, 16);
  emit(program, CALL, 0, 0, BPF_FUNC_get_current_comm);
  const others = [0, 8].map((offset) => {
    emit(program, LDXDW, registers(1, STACK), AT_COMM + offset, 0);
    loadWord(program, 2, comm.getBigUint64(offset, true));
    return emit(program, JNE_X, registers(1, 2), 0, 0);
  });
  leaving.push(emit(program, JNE_K, NUMBER, 0, execve));
  for (const jump of others) landHere(program, jump);
}

/** Finds the place of the call's byte. */
function findIndex(program: BpfProgram, { compat, hasX32 }: Machine): void {
  if (compat.of === "task") {
    emit(program, CALL, 0, 0, BPF_FUNC_get_current_task);
    emit(program, MOV_X, registers(3, 0), 0, 0);
  } else {
    emit(program, MOV_X, registers(3, REGS), 0, 0);
  }
  readKernel(program, compat.offset);
  emit(program, LDXW, registers(1, STACK), AT_WORD, 0);
  emit(program, MOV_K, INDEX, 0, COMPAT * NUMBERS);
  const toBound = [emit(program, JSET_K, 1, 0, compat.bit)];
  emit(program, MOV_K, INDEX, 0, NATIVE * NUMBERS);
  if (hasX32) {
    toBound.push(emit(program, JGT_K, NUMBER, 0, 0x7fffffff));
    const isX32 = emit(program, JGT_K, NUMBER, 0, X32_BIT - 1);
    toBound.push(emit(program, JA, 0, 0, 0));
    landHere(program, isX32);
    emit(program, AND_K, NUMBER, 0, X32_BIT - 1);
    emit(program, MOV_K, INDEX, 0, X32 * NUMBERS);
  }
  for (const jump of toBound) landHere(program, jump);
  const isOther = emit(program, JGT_K, NUMBER, 0, NUMBERS - 1);
  emit(program, ADD_X, registers(INDEX, NUMBER), 0, 0);
  const isKnown = emit(program, JA, 0, 0, 0);
  landHere(program, isOther);
  emit(program, MOV_K, INDEX, 0, OTHER_NUMBER);
  landHere(program, isKnown);
}

function noteCall(program: BpfProgram, { calls }: RecorderMaps, leaving: number[]): void {
  emit(program, ST_W, STACK, AT_ZERO, 0);
  loadMap(program, 1, calls);
  stackAddress(program, 2, AT_ZERO);
  emit(program, CALL, 0, 0, BPF_FUNC_map_lookup_elem);
  leaving.push(emit(program, JEQ_K, 0, 0, 0));
  emit(program, MOV_X, registers(CALLS, 0), 0, 0);
  emit(program, ADD_X, registers(0, INDEX), 0, 0);
  emit(program, ST_B, 0, 0, 1);
}

/** Notes the value of the argument of a watched call of the native architecture. */
function noteValues(
  program: BpfProgram,
  { values }: RecorderMaps,
  { argumentOffsets }: Machine,
  watched: readonly WatchedCall[],
): void {
  const found: number[] = [];
  for (const { number, index, mask } of watched) {
    const toNext = emit(program, JNE_K, INDEX, 0, NATIVE * NUMBERS + number);
    emit(program, MOV_X, registers(3, REGS), 0, 0);
    emit(program, ADD_K, 3, 0, argumentOffsets[index] ?? 0);
    loadWord(program, INDEX, mask);
    found.push(emit(program, JA, 0, 0, 0));
    landHere(program, toNext);
  }
  const isNotWatched = emit(program, JA, 0, 0, 0);
  for (const jump of found) landHere(program, jump);
  readKernel(program, 0);
  emit(program, LDXDW, registers(1, STACK), AT_WORD, 0);
  emit(program, AND_X, registers(1, INDEX), 0, 0);
  emit(program, STXDW, registers(STACK, 1), AT_KEY_VALUE, 0);
  emit(program, STXDW, registers(STACK, NUMBER), AT_KEY, 0);
  loadMap(program, 1, values);
  stackAddress(program, 2, AT_KEY);
  stackAddress(program, 3, AT_ZERO);
  emit(program, MOV_K, 4, 0, BPF_NOEXIST);
  emit(program, CALL, 0, 0, BPF_FUNC_map_update_elem);
  const isNoted = emit(program, JEQ_K, 0, 0, 0);
  const isKnown = emit(program, JEQ_K, 0, 0, -EEXIST);
  emit(program, ST_B, CALLS, LOST_VALUE, 1);
  for (const jump of [isNotWatched, isNoted, isKnown]) landHere(program, jump);
}

/** Reads 8 bytes of the kernel's memory at the address in register 3 and an offset to AT_WORD; zeros if that fails. */
function readKernel(program: BpfProgram, offset: number): void {
  if (offset !== 0) emit(program, ADD_K, 3, 0, offset);
  stackAddress(program, 1, AT_WORD);
  emit(program, MOV_K, 2, 0, 8);
  emit(program, CALL, 0, 0, BPF_FUNC_probe_read_kernel);
}

function stackAddress(program: BpfProgram, register: number, offset: number): void {
  emit(program, MOV_X, registers(register, STACK), 0, 0);
  emit(program, ADD_K, register, 0, offset);
}

function loadMap(program: BpfProgram, register: number, map: number): void {
  emit(program, LD_IMM64, registers(register, BPF_PSEUDO_MAP_FD), 0, map);
  emit(program, 0, 0, 0, 0);
}

function loadWord(program: BpfProgram, register: number, word: bigint): void {
  emit(program, LD_IMM64, register, 0, Number(word & 0xffffffffn));
  emit(program, 0, 0, 0, Number(word >> 32n));
}
