import { EPERM, errnoMessage } from "../../bindings/abi/errno.ts";
import { SECCOMP_FILTER_FLAG_NEW_LISTENER } from "../../bindings/abi/seccomp.ts";
import type { ArgumentComparison } from "../../bindings/linux/libseccomp.ts";
import { SyscallError } from "../../bindings/syscall-error.ts";
import { RuntsError } from "../errors.ts";
import type { Seccomp, SeccompArg, SeccompSyscall } from "../spec/types.ts";
import { actions, architectures, flags, operators } from "./constants.ts";

/** One entry of `syscalls`, with the numbers of the kernel and libseccomp. */
export interface ProfileRule {
  /** JSON pointer of the entry. */
  readonly pointer: string;
  readonly names: readonly string[];
  /** A SECCOMP_RET_* value. */
  readonly verdict: number;
  /** The rule matches if all comparisons of one alternative hold. Empty if it matches all arguments. */
  readonly alternatives: readonly (readonly ArgumentComparison[])[];
}

export interface Profile {
  readonly defaultVerdict: number;
  /** SECCOMP_FILTER_FLAG_* for seccomp(2). */
  readonly flags: number;
  /** Whether SCMP_ACT_NOTIFY is in use, which creates a listener. */
  readonly notifies: boolean;
  /** libseccomp's tokens, in the order of the config. */
  readonly architectures: readonly number[];
  readonly rules: readonly ProfileRule[];
  /** Names with at least one rule for arguments. */
  readonly namesWithArguments: ReadonlySet<string>;
}

const ROOT = "/linux/seccomp";
/** SECCOMP_RET_DATA (linux/seccomp.h): the part of a verdict that holds the errno. */
const MAX_VERDICT_DATA = 0xffff;
/** The highest errno that libseccomp accepts: one less than the kernel's MAX_ERRNO. */
const MAX_ERRNO = 4094;
/** Arguments of a system call. */
const MAX_ARGUMENTS = 6;

/** Translates the config. Throws an error with the pointer of the first value that cannot be enforced. */
export function readProfile(config: Seccomp, warn: (message: string) => void): Profile {
  const { syscalls = [] } = config;
  const all = syscalls.map((syscall, i) => ruleOf(syscall, `${ROOT}/syscalls/${i}`));
  const rules = all.filter(({ names }) => names.length > 0);
  for (const { pointer, names } of all)
    if (names.length === 0) warn(`${pointer}/names: is empty: the rule has no effect`);
  const withArguments = rules.filter(({ alternatives }) => alternatives.length > 0);
  const inUse = syscalls.filter(({ names }) => names.length > 0).map(({ action }) => action);
  const notifies = [config.defaultAction, ...inUse].includes("SCMP_ACT_NOTIFY");
  return {
    defaultVerdict: verdictOf(config.defaultAction, config.defaultErrnoRet, {
      action: `${ROOT}/defaultAction`,
      errno: `${ROOT}/defaultErrnoRet`,
    }),
    flags: flagBits(config.flags, notifies, warn),
    notifies,
    architectures: (config.architectures ?? []).map((name, i) =>
      lookUp(architectures, name, "seccomp architecture", `${ROOT}/architectures/${i}`),
    ),
    rules,
    namesWithArguments: new Set(withArguments.flatMap(({ names }) => names)),
  };
}

/** An error whose message begins with the JSON pointer. */
export function seccompError(pointer: string, message: string, cause?: unknown): RuntsError {
  if (!(cause instanceof SyscallError))
    return new RuntsError(`${pointer}: ${message}`, { operation: "seccomp", pointer, cause });
  const { call, errno } = cause;
  const text = `${pointer}: ${message}: ${call}: ${errnoMessage(errno)}`;
  return new RuntsError(text, { operation: call, errno, pointer, cause });
}

function lookUp(
  table: Readonly<Record<string, number>>,
  name: string,
  kind: string,
  pointer: string,
): number {
  const value = Object.hasOwn(table, name) ? table[name] : undefined;
  if (value === undefined) throw seccompError(pointer, `unknown ${kind} "${name}"`);
  return value;
}

function verdictOf(
  action: string,
  errnoRet: number | undefined,
  pointers: { readonly action: string; readonly errno: string },
): number {
  const verdict = lookUp(actions, action, "seccomp action", pointers.action);
  if (action !== "SCMP_ACT_ERRNO" && action !== "SCMP_ACT_TRACE") {
    // config-linux.md: "When the action doesn't support an errno, the runtime MUST print and error and fail."
    if (errnoRet !== undefined) throw seccompError(pointers.errno, `the action ${action} takes no errno`);
    return verdict;
  }
  const errno = errnoRet ?? EPERM;
  const limit = action === "SCMP_ACT_ERRNO" ? MAX_ERRNO : MAX_VERDICT_DATA;
  if (!Number.isInteger(errno) || errno < 0 || errno > limit) {
    throw seccompError(pointers.errno, `${errno} is not an errno between 0 and ${limit}`);
  }
  return verdict + errno;
}

/** Absent flags differ from empty ones: without the property, runtimes set SPEC_ALLOW, which turns Spectre mitigations off. */
function flagBits(names: Seccomp["flags"], notifies: boolean, warn: (message: string) => void): number {
  let bits = notifies ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
  if (names === undefined)
    return bits | lookUp(flags, "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "seccomp flag", ROOT);
  for (const [i, name] of names.entries()) {
    const bit = lookUp(flags, name, "seccomp flag", `${ROOT}/flags/${i}`);
    if (name === "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" && !notifies) {
      // seccomp(2) answers EINVAL to this flag without a listener, which SCMP_ACT_NOTIFY alone creates.
      warn(`${ROOT}/flags/${i}: ${name} has no effect without SCMP_ACT_NOTIFY`);
    } else {
      bits |= bit;
    }
  }
  return bits;
}

function ruleOf(syscall: SeccompSyscall, pointer: string): ProfileRule {
  const verdict = verdictOf(syscall.action, syscall.errnoRet, {
    action: `${pointer}/action`,
    errno: `${pointer}/errnoRet`,
  });
  const comparisons = (syscall.args ?? []).map((arg, i) => comparisonOf(arg, `${pointer}/args/${i}`));
  return { pointer, names: syscall.names, verdict, alternatives: alternativesOf(comparisons) };
}

function comparisonOf({ index, op, value, valueTwo }: SeccompArg, pointer: string): ArgumentComparison {
  if (!Number.isInteger(index) || index < 0 || index >= MAX_ARGUMENTS) {
    throw seccompError(
      `${pointer}/index`,
      `a system call has the arguments 0 to ${MAX_ARGUMENTS - 1}, not ${index}`,
    );
  }
  const comparison = lookUp(operators, op, "seccomp operator", `${pointer}/op`);
  return { arg: index, op: comparison, datumA: value, datumB: valueTwo ?? 0n };
}

/** libseccomp allows one comparison per argument in a rule, so a rule with two for one argument becomes a rule per comparison. */
function alternativesOf(comparisons: readonly ArgumentComparison[]): ArgumentComparison[][] {
  if (comparisons.length === 0) return [];
  const indexes = new Set(comparisons.map(({ arg }) => arg));
  return indexes.size === comparisons.length
    ? [[...comparisons]]
    : comparisons.map((comparison) => [comparison]);
}
