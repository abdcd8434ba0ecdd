/** Compiles device rules to an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE (linux/bpf.h). */
import {
  AND_K,
  type BpfProgram,
  EXIT,
  emit,
  instructionsOf,
  JNE_K,
  LDXW,
  landHere,
  MOV_K,
  MOV_X,
  RSH_K,
  registers,
} from "../../../bindings/abi/bpf-assembler.ts";
import { invalidResource } from "../limits/cgroup-write.ts";

/** linux/bpf.h: BPF_DEVCG_DEV_* and BPF_DEVCG_ACC_* */
export const DEV_BLOCK = 1;
export const DEV_CHAR = 2;
export const ACCESS_MKNOD = 1;
export const ACCESS_READ = 2;
export const ACCESS_WRITE = 4;
export const ACCESS_ALL = ACCESS_MKNOD | ACCESS_READ | ACCESS_WRITE;

/** A rule, with `undefined` for "all". */
export interface DeviceMatch {
  readonly allow: boolean;
  readonly type: typeof DEV_BLOCK | typeof DEV_CHAR | undefined;
  readonly major: number | undefined;
  readonly minor: number | undefined;
  /** ACCESS_* bits. */
  readonly access: number;
}

/** The access allowed to a device or, with `undefined`, to all devices that no earlier entry matches. */
interface Entry {
  readonly major: number | undefined;
  readonly minor: number | undefined;
  readonly allowed: number;
}

// Registers. r1 holds struct bpf_cgroup_dev_ctx; the return value is in r0.
const RESULT = 0;
const TYPE = 2;
const ACCESS = 3;
const MAJOR = 4;
const MINOR = 5;
const CONTEXT = 1;
// Two registers of an instruction: the destination and the source.
const TYPE_CONTEXT = registers(TYPE, CONTEXT);
const MAJOR_CONTEXT = registers(MAJOR, CONTEXT);
const MINOR_CONTEXT = registers(MINOR, CONTEXT);
const ACCESS_TYPE = registers(ACCESS, TYPE);

const LONGEST_ENTRY = 7;
/** Jump offsets are signed 16-bit numbers, and one jump skips all entries of a type. */
const MAX_ENTRIES = Math.floor(0x7fff / LONGEST_ENTRY) - 1;

/**
 * Compiles rules to a program; undefined if they allow everything, as no program is needed then.
 *
 * Rules apply in order and later ones win, for each kind of access by itself: one rule for r and another for w together allow an open
 * for reading and writing. All of that is decided here, for every device that a rule names and for the rest, so that the first entry
 * that matches is final. The verifier follows every path, and paths would multiply if a request passed through several rules.
 */
export function compileDeviceRules(rules: readonly DeviceMatch[]): Uint8Array<ArrayBuffer> | undefined {
  const chars = entriesOf(DEV_CHAR, rules);
  const blocks = entriesOf(DEV_BLOCK, rules);
  if (
    chars.length + blocks.length === 2 &&
    chars[0]?.allowed === ACCESS_ALL &&
    blocks[0]?.allowed === ACCESS_ALL
  ) {
    return undefined;
  }
  if (Math.max(chars.length, blocks.length) > MAX_ENTRIES) {
    throw invalidResource("/linux/resources/devices", `names more than ${MAX_ENTRIES} devices of a type`);
  }
  const program: BpfProgram = [];
  // u32 access_type, (access << 16) | type; u32 major; u32 minor.
  emit(program, LDXW, TYPE_CONTEXT, 0, 0);
  emit(program, MOV_X, ACCESS_TYPE, 0, 0);
  emit(program, AND_K, TYPE, 0, 0xffff);
  emit(program, RSH_K, ACCESS, 0, 16);
  emit(program, LDXW, MAJOR_CONTEXT, 4, 0);
  emit(program, LDXW, MINOR_CONTEXT, 8, 0);
  const toBlocks = emit(program, JNE_K, TYPE, 0, DEV_CHAR);
  for (const entry of chars) emitEntry(program, entry);
  landHere(program, toBlocks);
  for (const entry of blocks) emitEntry(program, entry);
  return instructionsOf(program);
}

/** Entries for single devices first, then for major numbers, then for minor numbers, then for the rest. */
function entriesOf(type: number, rules: readonly DeviceMatch[]): Entry[] {
  const relevant: DeviceMatch[] = [];
  const majors: DeviceMatch[] = [];
  const minors: DeviceMatch[] = [];
  const devices: { major: number; minor: number }[] = [];
  for (const rule of rules) {
    if (rule.type !== undefined && rule.type !== type) continue;
    relevant.push(rule);
    const { major, minor } = rule;
    if (major !== undefined && minor !== undefined) devices.push({ major, minor });
    else if (major !== undefined) majors.push(rule);
    else if (minor !== undefined) minors.push(rule);
  }
  for (const { major = 0 } of majors) for (const { minor = 0 } of minors) devices.push({ major, minor });
  const entries: Entry[] = [
    { major: undefined, minor: undefined, allowed: allowedOn(relevant, undefined, undefined) },
  ];
  for (const { minor } of minors) prepend(entries, relevant, undefined, minor);
  for (const { major } of majors) prepend(entries, relevant, major, undefined);
  for (const { major, minor } of devices) prepend(entries, relevant, major, minor);
  return entries;
}

/** Puts an entry before the others, unless the one that would match without it allows the same. */
function prepend(
  entries: Entry[],
  rules: readonly DeviceMatch[],
  major: number | undefined,
  minor: number | undefined,
): void {
  const allowed = allowedOn(rules, major, minor);
  for (const entry of entries) {
    const covers =
      (entry.major === undefined || entry.major === major) &&
      (entry.minor === undefined || entry.minor === minor);
    if (!covers) continue;
    if (entry.allowed !== allowed) break;
    return;
  }
  entries.unshift({ major, minor, allowed });
}

/** The access, ACCESS_* bits, that rules of one type allow to a device. `undefined` is a number that no rule names. */
export function allowedOn(
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

function emitEntry(program: BpfProgram, { major, minor, allowed }: Entry): void {
  const toNextByMajor = major === undefined ? -1 : emit(program, JNE_K, MAJOR, 0, major);
  const toNextByMinor = minor === undefined ? -1 : emit(program, JNE_K, MINOR, 0, minor);
  if (allowed === ACCESS_ALL || allowed === 0) {
    emit(program, MOV_K, RESULT, 0, allowed === 0 ? 0 : 1);
  } else {
    emit(program, AND_K, ACCESS, 0, ACCESS_ALL & ~allowed);
    emit(program, MOV_K, RESULT, 0, 0);
    emit(program, JNE_K, ACCESS, 1, 0);
    emit(program, MOV_K, RESULT, 0, 1);
  }
  emit(program, EXIT, 0, 0, 0);
  if (toNextByMajor >= 0) landHere(program, toNextByMajor);
  if (toNextByMinor >= 0) landHere(program, toNextByMinor);
}
