/**
 * Compiles device rules to an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE. Pure: linux/bpf.h and its instruction set
 * (Documentation/bpf/standardization/instruction-set.rst), nothing else.
 */

/** linux/bpf.h: BPF_DEVCG_DEV_* and BPF_DEVCG_ACC_* */
export const DEV_BLOCK = 1;
export const DEV_CHAR = 2;
export const ACCESS_MKNOD = 1;
export const ACCESS_READ = 2;
export const ACCESS_WRITE = 4;
export const ACCESS_ALL = ACCESS_MKNOD | ACCESS_READ | ACCESS_WRITE;

/** A rule with `undefined` for "all". */
export interface DeviceMatch {
  readonly allow: boolean;
  readonly type: typeof DEV_BLOCK | typeof DEV_CHAR | undefined;
  readonly major: number | undefined;
  readonly minor: number | undefined;
  /** Of the ACCESS_* bits. */
  readonly access: number;
}

/** What is allowed on a device, or with `undefined` on all devices that no entry before this one is about. */
interface Entry {
  readonly major: number | undefined;
  readonly minor: number | undefined;
  readonly allowed: number;
}

/** Opcodes: BPF_LDX|BPF_MEM|BPF_W, BPF_ALU64 and BPF_JMP with an immediate (K) or a register (X) operand. */
const LDXW = 0x61;
const MOV_K = 0xb7;
const MOV_X = 0xbf;
const AND_K = 0x57;
const RSH_K = 0x77;
const JNE_K = 0x55;
const EXIT = 0x95;

/** r1 holds struct bpf_cgroup_dev_ctx; the return value is in r0. */
const RESULT = 0;
const CONTEXT = 1;
const TYPE = 2;
const ACCESS = 3;
const MAJOR = 4;
const MINOR = 5;

const INSTRUCTION_BYTES = 8;
const PROLOGUE_LENGTH = 6;
const LONGEST_ENTRY = 7;
/** Offsets of jumps are 16 bits wide, and one jump skips all entries of a type. */
const MAX_ENTRIES = Math.floor(0x7fff / LONGEST_ENTRY) - 1;

/**
 * Rules apply in order and later ones win, for each kind of access by itself: an open for reading and writing is allowed by
 * one rule for r and another one for w. All of that is decided here, for every device that a rule names and for the rest,
 * so that each entry of the program is final. The verifier follows every path: were a request to pass through
 * several rules, the paths would multiply.
 */
export function compileDeviceRules(rules: readonly DeviceMatch[]): Uint8Array<ArrayBuffer> {
  const chars = entriesOf(DEV_CHAR, rules);
  const blocks = entriesOf(DEV_BLOCK, rules);
  if (Math.max(chars.length, blocks.length) > MAX_ENTRIES) {
    throw new RangeError(`more than ${MAX_ENTRIES} devices in the device rules`);
  }
  const program = new Assembler(PROLOGUE_LENGTH + 1 + (chars.length + blocks.length) * LONGEST_ENTRY);
  // u32 access_type, (access << 16) | type; u32 major; u32 minor.
  program.emit(LDXW, TYPE, { source: CONTEXT, offset: 0 });
  program.emit(MOV_X, ACCESS, { source: TYPE });
  program.emit(AND_K, TYPE, { immediate: 0xffff });
  program.emit(RSH_K, ACCESS, { immediate: 16 });
  program.emit(LDXW, MAJOR, { source: CONTEXT, offset: 4 });
  program.emit(LDXW, MINOR, { source: CONTEXT, offset: 8 });
  const toBlocks = program.emitJump(JNE_K, TYPE, DEV_CHAR);
  for (const entry of chars) emitEntry(program, entry);
  program.landHere([toBlocks]);
  for (const entry of blocks) emitEntry(program, entry);
  return program.finish();
}

/** Whether the rules let everything through, so that no program is needed. */
export function allowsEverything(rules: readonly DeviceMatch[]): boolean {
  return [DEV_CHAR, DEV_BLOCK].every((type) =>
    entriesOf(type, rules).every((entry) => entry.allowed === ACCESS_ALL),
  );
}

/** Single devices first, then major numbers, then minor numbers, then the rest: the first that matches is the answer. */
function entriesOf(type: number, rules: readonly DeviceMatch[]): Entry[] {
  const relevant = rules.filter((rule) => (rule.type ?? type) === type);
  const rest = { major: undefined, minor: undefined, allowed: allowedOn(relevant, undefined, undefined) };
  const general: Entry[] = [rest];
  const wholeMajors = new Set<number>();
  const wholeMinors = new Set<number>();
  const devices = new Map<string, readonly [number, number]>();
  for (const { major, minor } of relevant) {
    if (major !== undefined && minor !== undefined) devices.set(`${major}:${minor}`, [major, minor]);
    else if (major !== undefined) wholeMajors.add(major);
    else if (minor !== undefined) wholeMinors.add(minor);
  }
  for (const major of wholeMajors) {
    for (const minor of wholeMinors) devices.set(`${major}:${minor}`, [major, minor]);
  }
  for (const minor of wholeMinors) prepend(general, relevant, undefined, minor);
  for (const major of wholeMajors) prepend(general, relevant, major, undefined);
  const single: Entry[] = [];
  for (const [major, minor] of devices.values()) {
    const allowed = allowedOn(relevant, major, minor);
    const otherwise = general.find((entry) => covers(entry, major, minor))?.allowed;
    if (allowed !== otherwise) single.push({ major, minor, allowed });
  }
  return [...single.reverse(), ...general];
}

/** Adds an entry before the more general ones, unless the rest says the same. */
function prepend(entries: Entry[], rules: readonly DeviceMatch[], major?: number, minor?: number): void {
  const allowed = allowedOn(rules, major, minor);
  if (allowed !== entries[entries.length - 1]?.allowed) entries.unshift({ major, minor, allowed });
}

function covers(
  entry: { major: number | undefined; minor: number | undefined },
  major: number,
  minor: number,
): boolean {
  return (entry.major ?? major) === major && (entry.minor ?? minor) === minor;
}

/** The last rule about each kind of access. `undefined` is a number that no rule names. */
function allowedOn(
  rules: readonly DeviceMatch[],
  major: number | undefined,
  minor: number | undefined,
): number {
  let allowed = 0;
  for (const rule of rules) {
    const matches =
      (rule.major === undefined || rule.major === major) &&
      (rule.minor === undefined || rule.minor === minor);
    if (!matches) continue;
    allowed = rule.allow ? allowed | rule.access : allowed & ~rule.access;
  }
  return allowed;
}

function emitEntry(program: Assembler, { major, minor, allowed }: Entry): void {
  const toNext: number[] = [];
  if (major !== undefined) toNext.push(program.emitJump(JNE_K, MAJOR, major));
  if (minor !== undefined) toNext.push(program.emitJump(JNE_K, MINOR, minor));
  if (allowed === ACCESS_ALL || allowed === 0) {
    program.emit(MOV_K, RESULT, { immediate: allowed === 0 ? 0 : 1 });
  } else {
    program.emit(AND_K, ACCESS, { immediate: ACCESS_ALL & ~allowed });
    program.emit(MOV_K, RESULT, { immediate: 0 });
    const toExit = program.emitJump(JNE_K, ACCESS, 0);
    program.emit(MOV_K, RESULT, { immediate: 1 });
    program.landHere([toExit]);
  }
  program.emit(EXIT, 0, {});
  program.landHere(toNext);
}

interface Operands {
  readonly source?: number;
  readonly offset?: number;
  readonly immediate?: number;
}

/** struct bpf_insn: u8 code; u4 destination, u4 source; s16 offset; s32 immediate. Both architectures are little-endian. */
class Assembler {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #length = 0;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(new ArrayBuffer(capacity * INSTRUCTION_BYTES));
    this.#view = new DataView(this.#bytes.buffer);
  }

  emit(code: number, destination: number, { source = 0, offset = 0, immediate = 0 }: Operands): void {
    const at = this.#length * INSTRUCTION_BYTES;
    this.#view.setUint8(at, code);
    this.#view.setUint8(at + 1, (source << 4) | destination);
    this.#view.setInt16(at + 2, offset, true);
    this.#view.setInt32(at + 4, immediate, true);
    this.#length++;
  }

  /** A conditional jump to where landHere() is going to be called with the result. */
  emitJump(code: number, register: number, immediate: number): number {
    this.emit(code, register, { immediate });
    return this.#length - 1;
  }

  /** Offsets count from the instruction after the jump. */
  landHere(jumps: readonly number[]): void {
    for (const jump of jumps) {
      this.#view.setInt16(jump * INSTRUCTION_BYTES + 2, this.#length - jump - 1, true);
    }
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length * INSTRUCTION_BYTES);
  }
}
