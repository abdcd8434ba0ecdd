import { ENOSYS } from "../../bindings/abi/errno.ts";
import {
  type FilterContext,
  type Libseccomp,
  openLibseccomp,
  UNKNOWN_SYSCALL,
} from "../../bindings/linux/libseccomp.ts";
import { SyscallError } from "../../bindings/syscall-error.ts";
import type { Seccomp } from "../spec/types.ts";
import { actions } from "./constants.ts";
import { auditArch, type HighestNumbers, hidesNewerSyscalls, newerThanProfile } from "./enosys.ts";
import { directNumber, hasKnownDirectNumbers, multiplexerOf } from "./multiplexed.ts";
import { type Profile, type ProfileRule, readProfile, seccompError } from "./profile.ts";
import { assemblePrologue, type NumberTable } from "./prologue.ts";

export interface CompiledSeccomp {
  /** An array of struct sock_filter, 8 bytes each. */
  readonly filter: Uint8Array;
  /** SECCOMP_FILTER_FLAG_* for seccomp(2). */
  readonly flags: number;
  /** Whether the kernel creates a listener for it, which receives the notifications of SCMP_ACT_NOTIFY. */
  readonly notifies: boolean;
}

/** BPF_MAXINSNS (linux/bpf_common.h). */
const MAX_INSTRUCTIONS = 4096;

/**
 * Compiles `linux.seccomp` to a filter. Throws an error with the JSON pointer of the first value that can't be enforced.
 *
 * System calls without rules for arguments, which are nearly all, are decided by a binary search by number (prologue.ts), for which
 * libseccomp would take tens of milliseconds with an engine's default profile. The program of libseccomp follows and decides the
 * others, the default action and foreign architectures. Together they return the same verdicts as libseccomp alone, where the first
 * of several rules without arguments counts as well.
 *
 * System calls that libseccomp doesn't know are left out. `onUnknown` is called for each, with the JSON pointer of its name.
 */
export function compileSeccomp(
  config: Seccomp,
  warn: (message: string) => void,
  onUnknown?: (name: string, pointer: string) => void,
): CompiledSeccomp {
  const profile = readProfile(config, warn);
  const library = loadLibseccomp();
  const numbers = resolveNumbers(library, profile);
  if (onUnknown !== undefined) tellUnknown(profile, numbers, onUnknown);
  if (numbers.unknown.size > 0) {
    warn(`seccomp: system calls unknown to libseccomp are ignored: ${[...numbers.unknown].join(", ")}`);
  }
  const prologue = assemblePrologue(numberTables(numbers, hidesNewerSyscalls(config.defaultAction)));
  const rest = compileRest(library, profile, numbers);
  const filter = new Uint8Array(prologue.length + rest.length);
  filter.set(prologue);
  filter.set(rest, prologue.length);
  if (filter.length > MAX_INSTRUCTIONS * 8) {
    const length = filter.length / 8;
    throw seccompError(
      "/linux/seccomp",
      `the filter has ${length} instructions, but the kernel accepts at most ${MAX_INSTRUCTIONS}`,
    );
  }
  return { filter, flags: profile.flags, notifies: profile.notifies };
}

/** Loads libseccomp. The error says what to install. */
export function loadLibseccomp(soname?: string): Libseccomp {
  try {
    return openLibseccomp(soname);
  } catch (cause) {
    if (!(cause instanceof SyscallError)) throw cause;
    const name = cause.args[0] ?? "libseccomp";
    throw seccompError(
      "/linux/seccomp",
      `${name} could not be loaded, and no seccomp filter can be made without it: install libseccomp 2 (Debian's package libseccomp2)`,
      cause,
    );
  }
}

/** The system call numbers of a profile's names on its architectures, the native one first. */
interface Numbers {
  readonly native: number;
  /** libseccomp's tokens (SCMP_ARCH_*). */
  readonly archs: ReadonlySet<number>;
  readonly highest: HighestNumbers;
  /** Verdicts that hold for all arguments, by AUDIT_ARCH (x86-64 and x32 share theirs), then by number. */
  readonly verdicts: ReadonlyMap<number, ReadonlyMap<number, number>>;
  readonly unknown: ReadonlySet<string>;
}

function resolveNumbers(library: Libseccomp, profile: Profile): Numbers {
  const native = library.nativeArch();
  const archs = new Set([native, ...profile.architectures]);
  const names = profile.rules.flatMap((rule) => rule.names);
  const unknown = new Set<string>();
  const highest = new Map<number, number>();
  const verdicts = new Map<number, Map<number, number>>();
  for (const arch of archs) {
    const numbers = library.resolveSyscalls(arch, names);
    let top = 0;
    for (const [i, number] of numbers.entries()) {
      if (number > top) top = number;
      if (number === UNKNOWN_SYSCALL) unknown.add(names[i] ?? "");
    }
    highest.set(arch, top);
    const table = verdicts.get(auditArch(arch)) ?? new Map<number, number>();
    verdicts.set(auditArch(arch), table);
    decideByNumber(profile, arch, numbers, table);
  }
  return { native, archs, highest, verdicts, unknown };
}

/** Adds the verdicts that hold for all arguments to `table`. `numbers` are those of all names of all rules, in order. */
function decideByNumber(
  profile: Profile,
  arch: number,
  numbers: Int32Array,
  table: Map<number, number>,
): void {
  let index = 0;
  for (const { names, verdict, alternatives } of profile.rules) {
    const decides = alternatives.length === 0 && verdict !== profile.defaultVerdict;
    for (const name of names) {
      const resolved = numbers[index++] ?? UNKNOWN_SYSCALL;
      if (!decides || profile.namesWithArguments.has(name)) continue;
      const number = resolved < 0 ? directNumber(arch, name) : resolved;
      if (number >= 0 && !table.has(number)) table.set(number, verdict);
    }
  }
}

function numberTables(numbers: Numbers, hideNewer: boolean): NumberTable[] {
  const newerVerdict = (actions.SCMP_ACT_ERRNO ?? 0) + ENOSYS;
  return [...numbers.verdicts].map(([audit, verdicts]) => ({
    audit,
    newer: hideNewer ? newerThanProfile(audit, numbers.highest) : [],
    newerVerdict,
    verdicts,
  }));
}

function tellUnknown(
  { rules }: Profile,
  { unknown }: Numbers,
  tell: (name: string, pointer: string) => void,
): void {
  for (const { names, pointer } of rules)
    for (const [index, name] of names.entries())
      if (unknown.has(name)) tell(name, `${pointer}/names/${index}`);
}

function createFilter(
  library: Libseccomp,
  { defaultVerdict }: Profile,
): ReturnType<Libseccomp["createFilter"]> {
  try {
    return library.createFilter(defaultVerdict);
  } catch (cause) {
    throw seccompError("/linux/seccomp/defaultAction", "libseccomp cannot begin a filter", cause);
  }
}

/** Compiles libseccomp's part: rules with arguments, the default action, and the verdict for architectures not in the profile. */
function compileRest(library: Libseccomp, profile: Profile, numbers: Numbers): Uint8Array {
  using context = createFilter(library, profile);
  for (const [i, arch] of profile.architectures.entries()) {
    try {
      context.addArch(arch);
    } catch (cause) {
      throw seccompError(
        `/linux/seccomp/architectures/${i}`,
        "libseccomp cannot add this architecture here",
        cause,
      );
    }
  }
  const needsLibseccomp = undecidedByNumber(profile, undecidedMultiplexers(library, numbers));
  const anchor = anchorOf(library, profile, numbers);
  for (const rule of profile.rules) {
    // libseccomp refuses a rule whose action is the default action, with EACCES.
    if (rule.verdict === profile.defaultVerdict) continue;
    for (const [i, name] of rule.names.entries()) {
      if ((name !== anchor && !needsLibseccomp(name)) || numbers.unknown.has(name)) continue;
      try {
        addRule(context, rule, resolveOne(library, numbers.native, name));
      } catch (cause) {
        throw seccompError(`${rule.pointer}/names/${i}`, `libseccomp refused the rule for ${name}`, cause);
      }
    }
  }
  try {
    return context.exportBpf();
  } catch (cause) {
    throw seccompError("/linux/seccomp", "libseccomp cannot write the filter", cause);
  }
}

/**
 * The name of a system call that libseccomp gets a rule for although the prologue decides it. Up to 2.6 at least, libseccomp's program
 * for an architecture does not load the system call's number if the first call in its order does not exist there (socketcall on
 * x86-64 beside x32), and rules for arguments then match nothing. A rule without arguments for a call of all architectures
 * comes first in that order.
 */
function anchorOf(library: Libseccomp, profile: Profile, { archs }: Numbers): string | undefined {
  const everywhere = (name: string) => [...archs].every((arch) => resolveOne(library, arch, name) >= 0);
  for (const { names, verdict, alternatives } of profile.rules) {
    if (alternatives.length > 0 || verdict === profile.defaultVerdict) continue;
    const name = names.find(everywhere);
    if (name !== undefined) return name;
  }
  return undefined;
}

function addRule(context: FilterContext, { verdict, alternatives }: ProfileRule, number: number): void {
  if (alternatives.length === 0) context.addRule(verdict, number, []);
  for (const comparisons of alternatives) context.addRule(verdict, number, comparisons);
}

/**
 * Returns a function that says whether libseccomp needs the rules for a name: if any of them has arguments, or if the call may go through
 * an undecided multiplexer. It needs the multiplexers' own rules even if the prologue decides them, as they override rules that would
 * otherwise contradict each other.
 */
function undecidedByNumber(profile: Profile, undecided: ReadonlySet<string>): (name: string) => boolean {
  return (name) => {
    if (profile.namesWithArguments.has(name) || name === "socketcall" || name === "ipc") return true;
    const multiplexer = multiplexerOf(name);
    return multiplexer !== undefined && undecided.has(multiplexer);
  };
}

/**
 * The multiplexers (socketcall, ipc) that no rule decides as a whole on every architecture that has them, or beside which an architecture
 * may have direct calls whose numbers only libseccomp knows.
 */
function undecidedMultiplexers(library: Libseccomp, numbers: Numbers): ReadonlySet<string> {
  const undecided = new Set<string>();
  for (const name of ["socketcall", "ipc"]) {
    for (const arch of numbers.archs) {
      const number = resolveOne(library, arch, name);
      if (number < 0) continue;
      const decided = numbers.verdicts.get(auditArch(arch))?.has(number) === true;
      if (!decided || !hasKnownDirectNumbers(arch)) undecided.add(name);
    }
  }
  return undecided;
}

function resolveOne(library: Libseccomp, arch: number, name: string): number {
  return library.resolveSyscalls(arch, [name])[0] ?? UNKNOWN_SYSCALL;
}
