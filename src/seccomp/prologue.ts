import type { NumberRange } from "./enosys.ts";

/**
 * The part of the filter that decides by architecture and number alone, for which libseccomp takes tens of milliseconds:
 * a binary search, as BPF, in front of libseccomp's program, which decides the rest.
 */

/** No verdict by the number: libseccomp's program, which follows, decides. */
export const PASS = -1;

/** What one architecture (AUDIT_ARCH_*) answers by number. */
export interface NumberTable {
  readonly audit: number;
  /** Ranges in ascending order that get `newerVerdict`, whatever `verdicts` says. */
  readonly newer: readonly NumberRange[];
  readonly newerVerdict: number;
  /** SECCOMP_RET_* value by system call number. */
  readonly verdicts: ReadonlyMap<number, number>;
}

/** From `first` up to the next span the verdict is the same. */
export interface Span {
  readonly first: number;
  readonly verdict: number;
}

/** Divides all numbers of 32 bits into spans; neighbours differ in their verdict. */
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
  // A typed array sorts numerically without a comparison function: this runs once, for a thousand numbers.
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
 * Builds a program from its end to its beginning, as BPF jumps only forwards. A label is the number of instructions from it
 * to the end of the program: 0 is what follows the program.
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

  /** A place that returns the verdict; one within reach of a conditional jump is used again. */
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

  /** A label for the same place that a conditional jump can reach. */
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

/** Conditional jumps have 8 bits; one less, as a jump for the other branch may come between. */
const NEAR = 254;
/** A span takes at most its return, the comparison before it and a long jump for each of that one's branches. */
const INSTRUCTIONS_PER_SPAN = 4;
/** Beside the spans: the two loads, the comparison of the architecture and its long jumps, a comparison for a lone span. */
const INSTRUCTIONS_PER_TABLE = 8;

/** The prologue for the tables, the first of which is reached soonest; empty when no number is decided. */
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
    // Loading the number falls through to the search, which must therefore begin with an instruction of its own.
    if (spans.length === 1) program.jump(BPF_JMP_JGE_K, 0, root, root);
    const section = program.load(OFFSET_NR);
    otherArch = program.jump(BPF_JMP_JEQ_K, audit, section, otherArch);
  }
  if (program.length > 0) program.load(OFFSET_ARCH);
  return program.assemble();
}

/** Precondition of the code it writes: the accumulator holds the number, which lies in spans[from] … spans[to - 1]. */
function search(program: BackwardAssembler, spans: readonly Span[], from: number, to: number): number {
  if (to - from === 1) return program.verdict(spans[from]?.verdict ?? PASS);
  const middle = (from + to) >> 1;
  const above = search(program, spans, middle, to);
  const below = search(program, spans, from, middle);
  return program.jump(BPF_JMP_JGE_K, spans[middle]?.first ?? 0, above, below);
}
