import type { NumberRange } from "./enosys.ts";

/**
 * The part of the filter that decides by architecture and number alone: a binary search in BPF, in front of libseccomp's program, which
 * decides the rest. Built here because libseccomp takes tens of milliseconds for it.
 */

/** No verdict by number: libseccomp's program, which follows, decides. */
export const PASS = -1;

/** The verdicts by number of one architecture. */
export interface NumberTable {
  /** AUDIT_ARCH_* */
  readonly audit: number;
  /** Ranges in ascending order that get `newerVerdict`, whatever `verdicts` says. */
  readonly newer: readonly NumberRange[];
  readonly newerVerdict: number;
  /** SECCOMP_RET_* value by system call number. */
  readonly verdicts: ReadonlyMap<number, number>;
}

/** Numbers with the same verdict, from `first` up to the next span. */
export interface Span {
  readonly first: number;
  readonly verdict: number;
}

/** Divides all 32-bit numbers into spans, in ascending order. Neighbours differ in their verdict. */
export function spansOf({ newer, newerVerdict, verdicts }: NumberTable): Span[] {
  const spans: Span[] = [];
  let last = Number.NaN;
  let next = 0;
  const append = (first: number, end: number, verdict: number) => {
    if (first > next && last !== PASS) spans.push({ first: next, verdict: PASS });
    if (first > next) last = PASS;
    if (verdict !== last) spans.push({ first, verdict });
    last = verdict;
    next = end;
  };
  // A typed array sorts numerically without a comparison function, which is faster for the thousand numbers of a profile.
  const numbers = Uint32Array.from(verdicts.keys()).sort();
  let i = 0;
  for (const range of newer) {
    for (let number = numbers[i]; number !== undefined && number < range.first; number = numbers[++i]) {
      append(number, number + 1, verdicts.get(number) ?? PASS);
    }
    append(range.first, range.last + 1, newerVerdict);
    for (let number = numbers[i]; number !== undefined && number <= range.last; ) number = numbers[++i];
  }
  for (let number = numbers[i]; number !== undefined; number = numbers[++i]) {
    append(number, number + 1, verdicts.get(number) ?? PASS);
  }
  if (next <= 0xffffffff && last !== PASS) spans.push({ first: next, verdict: PASS });
  return spans;
}

const BPF_LD_W_ABS = 0x20;
const BPF_JMP_JA = 0x05;
const BPF_JMP_JEQ_K = 0x15;
const BPF_JMP_JGE_K = 0x35;
const BPF_RET_K = 0x06;
/** Offsets in struct seccomp_data (linux/seccomp.h). */
const OFFSET_NR = 0;
const OFFSET_ARCH = 4;

/**
 * Builds a program from its end to its beginning, as BPF only jumps forwards. A label is the number of instructions from there to the end
 * of the program; 0 is the instruction after it.
 */
class BackwardAssembler {
  /** Instructions so far. */
  length = 0;
  /** struct sock_filter { __u16 code; __u8 jt, jf; __u32 k; } as two little-endian words, filled from the end. */
  readonly #words: Uint32Array;
  readonly #returns = new Map<number, number>();

  constructor(capacity: number) {
    this.#words = new Uint32Array(2 * capacity);
  }

  load(offset: number): number {
    return this.#push(BPF_LD_W_ABS, offset);
  }

  /** The label of an instruction that returns the verdict. One within reach of a conditional jump is reused. */
  verdict(value: number): number {
    if (value === PASS) return 0;
    const known = this.#returns.get(value);
    if (known !== undefined && this.length - known <= NEAR) return known;
    const label = this.#push(BPF_RET_K, value);
    this.#returns.set(value, label);
    return label;
  }

  jump(code: number, k: number, whenTrue: number, whenFalse: number): number {
    const jt = this.#near(whenTrue);
    const jf = this.#near(whenFalse);
    return this.#push(code | ((this.length - jt) << 16) | ((this.length - jf) << 24), k);
  }

  /** A label within reach of a conditional jump, from which a long jump leads to `label` if need be. */
  #near(label: number): number {
    return this.length - label <= NEAR ? label : this.#push(BPF_JMP_JA, this.length - label);
  }

  #push(codeAndJumps: number, k: number): number {
    this.length++;
    const index = this.#words.length - 2 * this.length;
    this.#words[index] = codeAndJumps;
    this.#words[index + 1] = k;
    return this.length;
  }

  /** The program as an array of struct sock_filter. */
  assemble(): Uint8Array {
    return new Uint8Array(this.#words.buffer, this.#words.byteLength - 8 * this.length);
  }
}

/** Conditional jumps have 8 bits, up to 255. One less, as a long jump for the other branch may come in between. */
const NEAR = 254;
/** A span takes at most its return, a comparison, and a long jump for each branch of the comparison. */
const INSTRUCTIONS_PER_SPAN = 4;
/** Besides its spans: two loads, the comparison of the architecture with its long jumps, and a comparison for a lone span. */
const INSTRUCTIONS_PER_TABLE = 8;

/** The prologue as an array of struct sock_filter. Tests the architectures in the order of `tables`; empty if nothing is decided. */
export function assemblePrologue(tables: readonly NumberTable[]): Uint8Array {
  const sections: { readonly audit: number; readonly spans: readonly Span[] }[] = [];
  let capacity = 0;
  for (const table of tables) {
    const spans = spansOf(table);
    if (spans.length === 1 && spans[0]?.verdict === PASS) continue;
    sections.push({ audit: table.audit, spans });
    capacity += INSTRUCTIONS_PER_SPAN * spans.length + INSTRUCTIONS_PER_TABLE;
  }
  const program = new BackwardAssembler(capacity);
  let otherArch = 0;
  for (const { audit, spans } of sections.reverse()) {
    const root = search(program, spans, 0, spans.length);
    // The load of the number falls through, so the next instruction must belong to this search, not to a reused return.
    if (spans.length === 1) program.jump(BPF_JMP_JGE_K, 0, root, root);
    const section = program.load(OFFSET_NR);
    otherArch = program.jump(BPF_JMP_JEQ_K, audit, section, otherArch);
  }
  if (program.length > 0) program.load(OFFSET_ARCH);
  return program.assemble();
}

/** Emits a search for the number, which is in the accumulator and lies within spans[from] … spans[to - 1]. Returns its label. */
function search(program: BackwardAssembler, spans: readonly Span[], from: number, to: number): number {
  if (to - from === 1) return program.verdict(spans[from]?.verdict ?? PASS);
  const middle = (from + to) >> 1;
  const above = search(program, spans, middle, to);
  const below = search(program, spans, from, middle);
  return program.jump(BPF_JMP_JGE_K, spans[middle]?.first ?? 0, above, below);
}
