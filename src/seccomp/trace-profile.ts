import type { Seccomp, SeccompAction } from "../spec/types.ts";
import { seccompError } from "./profile.ts";

/** Actions that execute the call, or leave the answer to a tracer. */
const PASSING: readonly SeccompAction[] = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"];

/**
 * The same profile with SCMP_ACT_NOTIFY instead of each denial; the listener then answers as the profile says. execve keeps its rules,
 * since the runtime, which is the listener, is waiting for that very call.
 */
export function tracedProfile(profile: Seccomp): Seccomp {
  const { defaultErrnoRet, syscalls = [], ...rest } = profile;
  const actionsInUse = [profile.defaultAction, ...syscalls.map(({ action }) => action)];
  if (actionsInUse.includes("SCMP_ACT_NOTIFY")) {
    throw seccompError(
      "/linux/seccomp",
      "--seccomp-trace can't be used with a profile that has a listener of its own",
    );
  }
  const keepsDefault = PASSING.includes(profile.defaultAction);
  const own = syscalls.flatMap((rule) => {
    if (PASSING.includes(rule.action)) return [rule];
    const { errnoRet: _, ...traced } = rule;
    const names = rule.names.filter((name) => name !== "execve");
    const kept = rule.names.includes("execve") ? [{ ...rule, names: ["execve"] }] : [];
    return [...(names.length > 0 ? [{ ...traced, names, action: "SCMP_ACT_NOTIFY" as const }] : []), ...kept];
  });
  if (keepsDefault)
    return { ...rest, syscalls: own, ...(defaultErrnoRet !== undefined && { defaultErrnoRet }) };
  const namesExecve = syscalls.some(({ names }) => names.includes("execve"));
  const errno = defaultErrnoRet === undefined ? {} : { errnoRet: defaultErrnoRet };
  const denied = { names: ["execve"], action: profile.defaultAction, ...errno };
  return { ...rest, defaultAction: "SCMP_ACT_NOTIFY", syscalls: namesExecve ? own : [...own, denied] };
}
