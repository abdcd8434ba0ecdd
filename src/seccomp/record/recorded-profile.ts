import type { Seccomp, SeccompArg, SeccompSyscall } from "../../spec/types.ts";
import { seccompError } from "../profile.ts";
import type { RecordedCalls } from "./recorded-calls.ts";
import { runtimeCalls } from "./runtime-calls.ts";
import { WATCHED_ARGUMENTS } from "./watched-arguments.ts";

const INT_MASK = 0xffff_ffffn;

/**
 * The profile that allows just the recorded calls, and what a container needs to start and to end; all others fail with EPERM. Its first
 * rule has the calls without arguments, then there is one for each value of an argument, and the last rule has what was not recorded.
 */
export function recordedProfile(calls: RecordedCalls, noNewPrivileges: boolean): Seccomp {
  const profile = { defaultAction: "SCMP_ACT_ERRNO" as const, syscalls: [allow([...calls.names].sort())] };
  return mergeProfile(profile, calls, noNewPrivileges, () => undefined);
}

/**
 * Adds to a profile what it lacks of the recorded calls. Its own rules stay as they are, but for the first one that allows calls with all
 * arguments, which gets the names of further calls. A call that it denies by name stays denied, and `warn` is told. Throws if its default
 * action lets calls pass, as nothing has to be added to it.
 */
export function mergeProfile(
  profile: Seccomp,
  { architectures, names, values }: RecordedCalls,
  noNewPrivileges: boolean,
  warn: (message: string) => void,
): Seccomp {
  if (PASSING.includes(profile.defaultAction))
    throw seccompError("/defaultAction", `${profile.defaultAction} lets all calls pass that no rule denies`);
  const rules = [...(profile.syscalls ?? [])];
  const isAllowed = (name: string) => rules.some((rule) => isPlain(rule) && rule.names.includes(name));
  const denied = new Set(
    rules.filter((rule) => rule.action !== ALLOW && !hasArguments(rule)).flatMap((rule) => rule.names),
  );
  const made = [...names, ...values.keys()].filter((name) => denied.has(name));
  if (made.length > 0)
    warn(`the profile denies calls by name that the container has made: ${made.join(", ")}`);
  const further = [...names].filter((name) => !isAllowed(name) && !denied.has(name));
  const first = rules.findIndex(isPlain);
  const plain = rules[first];
  if (plain === undefined) rules.push(allow(further.sort()));
  else if (further.length > 0) rules[first] = { ...plain, names: [...plain.names, ...further].sort() };
  const needed = runtimeCalls({ noNewPrivileges, with32Bit: architectures.length > 1 });
  for (const [name, wanted] of neededValues(values, needed))
    for (const value of [...wanted].sort(byNumber)) {
      const rule = allow([name], argumentRule(name, value));
      if (!isAllowed(name) && !denied.has(name) && !rules.some((known) => isSame(known, rule)))
        rules.push(rule);
    }
  const rest = needed.filter(
    (name) => !Object.hasOwn(WATCHED_ARGUMENTS, name) && !isAllowed(name) && !denied.has(name),
  );
  if (rest.length > 0) rules.push(allow(rest.sort()));
  const known = profile.architectures ?? [];
  const added = architectures.filter((name) => !known.includes(name));
  return {
    ...profile,
    architectures: [...known, ...added],
    syscalls: rules.filter((rule) => rule.names.length > 0),
  };
}

const ALLOW = "SCMP_ACT_ALLOW";
const PASSING: readonly string[] = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"];

/** The recorded values, and for a watched call that a runtime needs, a thread or a process without new namespaces: 0. */
function neededValues(
  values: RecordedCalls["values"],
  needed: readonly string[],
): ReadonlyMap<string, ReadonlySet<bigint>> {
  const all = new Map(values);
  for (const name of needed)
    if (Object.hasOwn(WATCHED_ARGUMENTS, name)) all.set(name, new Set([...(all.get(name) ?? []), 0n]));
  return all;
}

function argumentRule(name: string, value: bigint): SeccompArg {
  const { index = 0, mask = 0n, isInt = false } = WATCHED_ARGUMENTS[name] ?? {};
  if (mask <= INT_MASK) return { index, value: mask, valueTwo: value, op: "SCMP_CMP_MASKED_EQ" };
  // A negative int, or what a program has left in the upper half of the register.
  if (isInt && value > INT_MASK)
    return { index, value: INT_MASK, valueTwo: value & INT_MASK, op: "SCMP_CMP_MASKED_EQ" };
  return { index, value, op: "SCMP_CMP_EQ" };
}

function allow(names: readonly string[], arg?: SeccompArg): SeccompSyscall {
  return { names, action: ALLOW, ...(arg !== undefined && { args: [arg] }) };
}

/** Whether a rule allows its calls with all arguments. */
function isPlain(rule: SeccompSyscall): boolean {
  return rule.action === ALLOW && !hasArguments(rule);
}

function hasArguments({ args = [] }: SeccompSyscall): boolean {
  return args.length > 0;
}

function isSame(one: SeccompSyscall, other: SeccompSyscall): boolean {
  const [name] = other.names;
  const [a, ...furtherArgs] = one.args ?? [];
  const [b] = other.args ?? [];
  if (one.action !== other.action || name === undefined || !one.names.includes(name)) return false;
  if (a === undefined || b === undefined || furtherArgs.length > 0) return false;
  const [firstTwo, secondTwo] = [a.valueTwo ?? 0n, b.valueTwo ?? 0n];
  return a.index === b.index && a.op === b.op && a.value === b.value && firstTwo === secondTwo;
}

function byNumber(one: bigint, other: bigint): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
