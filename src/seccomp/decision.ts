import { ENOSYS, errnoName } from "../../bindings/abi/errno.ts";
import { SECCOMP_RET_ACTION_FULL, SECCOMP_RET_DATA } from "../../bindings/abi/seccomp.ts";
import type { ArgumentComparison } from "../../bindings/linux/libseccomp.ts";
import { actions, operators } from "./constants.ts";
import type { Profile, ProfileRule } from "./profile.ts";

/** A rule that names the system call, and whether it matches the arguments. */
export interface ConsideredRule {
  readonly pointer: string;
  readonly action: string;
  readonly matches: boolean;
  /** Why it does not match; empty if it does. */
  readonly reason: string;
}

export interface Decision {
  /** Such as `SCMP_ACT_ERRNO EPERM`. */
  readonly action: string;
  /** Whether the kernel executes the call. */
  readonly allowed: boolean;
  /** JSON pointer of the property that decides. */
  readonly pointer: string;
  readonly reason: string;
  readonly rules: readonly ConsideredRule[];
}

/**
 * Explains `verdict`, the compiled filter's answer to a call, by the rules of its profile. The verdict is given by the filter; the rules
 * only say why.
 */
export function explainVerdict(
  profile: Profile,
  name: string,
  args: readonly bigint[],
  verdict: number,
): Decision {
  const rules = profile.rules
    .filter(({ names }) => names.includes(name))
    .map((rule) => ({ rule, considered: consider(rule, args) }));
  const decisive = rules.find(({ rule, considered }) => considered.matches && rule.verdict === verdict);
  const base = {
    action: describeVerdict(verdict),
    allowed: isAllowed(verdict),
    rules: rules.map(({ considered }) => considered),
  };
  if (decisive !== undefined)
    return { ...base, pointer: decisive.considered.pointer, reason: "the rule matches" };
  const root = "/linux/seccomp";
  if (verdict === profile.defaultVerdict) {
    const reason = rules.length === 0 ? `no rule names ${name}` : "no rule matches these arguments";
    return { ...base, pointer: `${root}/defaultAction`, reason };
  }
  if ((verdict & SECCOMP_RET_DATA) === ENOSYS) {
    const reason = `the profile is older than ${name}: programs try something else upon ENOSYS`;
    return { ...base, pointer: root, reason };
  }
  return { ...base, pointer: root, reason: "the system call's architecture is not in the profile" };
}

function consider({ pointer, verdict, alternatives }: ProfileRule, args: readonly bigint[]): ConsideredRule {
  const action = describeVerdict(verdict);
  const failures = alternatives.map((comparisons) =>
    comparisons.find((comparison) => !compares(comparison, args[comparison.arg] ?? 0n)),
  );
  if (alternatives.length === 0 || failures.includes(undefined))
    return { pointer, action, matches: true, reason: "" };
  const reason = failures
    .flatMap((failure) => (failure === undefined ? [] : describeFailure(failure, args)))
    .join("; ");
  return { pointer, action, matches: false, reason };
}

function compares({ op, datumA, datumB }: ArgumentComparison, value: bigint): boolean {
  switch (op) {
    case operators.SCMP_CMP_NE:
      return value !== datumA;
    case operators.SCMP_CMP_LT:
      return value < datumA;
    case operators.SCMP_CMP_LE:
      return value <= datumA;
    case operators.SCMP_CMP_EQ:
      return value === datumA;
    case operators.SCMP_CMP_GE:
      return value >= datumA;
    case operators.SCMP_CMP_GT:
      return value > datumA;
    default:
      return (value & datumA) === (datumB & datumA);
  }
}

const SIGNS: Readonly<Record<number, string>> = { 1: "!=", 2: "<", 3: "<=", 4: "==", 5: ">=", 6: ">" };

function describeFailure({ arg, op, datumA, datumB }: ArgumentComparison, args: readonly bigint[]): string {
  const value = args[arg] ?? 0n;
  const sign = SIGNS[op];
  return sign === undefined
    ? `argument ${arg}: ${hex(value)} & ${hex(datumA)} is ${hex(value & datumA)}, not ${hex(datumB & datumA)}`
    : `argument ${arg}: not ${hex(value)} ${sign} ${hex(datumA)}`;
}

/** A number as arguments of system calls are usually written: `0x10`. */
export function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** A SECCOMP_RET_* value as the name of its action, with its errno or data if it has any. */
export function describeVerdict(verdict: number): string {
  const kind = (verdict & SECCOMP_RET_ACTION_FULL) >>> 0;
  const [name = `0x${kind.toString(16)}`] =
    Object.entries(actions).find(([action, value]) => value === kind && action !== "SCMP_ACT_KILL") ?? [];
  const data = verdict & SECCOMP_RET_DATA;
  if (name === "SCMP_ACT_ERRNO") return `${name} ${errnoName(data)}`;
  return data === 0 ? name : `${name} ${data}`;
}

function isAllowed(verdict: number): boolean {
  const kind = (verdict & SECCOMP_RET_ACTION_FULL) >>> 0;
  return kind === actions.SCMP_ACT_ALLOW || kind === actions.SCMP_ACT_LOG;
}
