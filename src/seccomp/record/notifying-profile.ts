import type { Seccomp } from "../../spec/types.ts";
import { architectures, SCMP_ARCH_X32 } from "../constants.ts";
import { seccompError } from "../profile.ts";

/**
 * A profile that asks its listener about each call that the given one allows, and denies the others as that one does; without one, all calls
 * are asked about. execve is allowed as before: the runtime, which is the listener, waits for that very call at the start of the container.
 */
export function notifyingProfile(profile: Seccomp | undefined, native: number): Seccomp {
  if (profile === undefined) {
    return {
      defaultAction: "SCMP_ACT_NOTIFY",
      architectures: architecturesOf(native),
      syscalls: [{ names: ["execve"], action: "SCMP_ACT_ALLOW" }],
    };
  }
  const { defaultAction, syscalls = [] } = profile;
  if ([defaultAction, ...syscalls.map(({ action }) => action)].includes("SCMP_ACT_NOTIFY")) {
    throw seccompError(
      "/linux/seccomp",
      "--seccomp-record can't be used with a profile that has a listener of its own, unless BPF is available",
    );
  }
  const rules = syscalls.flatMap((rule) => {
    if (!ALLOWING.includes(rule.action)) return [rule];
    const names = rule.names.filter((name) => name !== "execve");
    const notifying = { ...rule, names, action: "SCMP_ACT_NOTIFY" as const };
    const kept = rule.names.includes("execve") ? [{ ...rule, names: ["execve"] }] : [];
    return [...(names.length > 0 ? [notifying] : []), ...kept];
  });
  if (!ALLOWING.includes(defaultAction)) return { ...profile, syscalls: rules };
  const namesExecve = syscalls.some(({ names }) => names.includes("execve"));
  const execve = { names: ["execve"], action: defaultAction };
  return { ...profile, defaultAction: "SCMP_ACT_NOTIFY", syscalls: namesExecve ? rules : [...rules, execve] };
}

/** Actions that execute the call. SCMP_ACT_TRACE is not among them: a tracer answers, and there is none (ENOSYS). */
const ALLOWING: readonly string[] = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"];

/** All architectures whose calls the kernel takes: libseccomp's filter would kill a process that makes one of another. */
function architecturesOf(native: number): readonly string[] {
  const { SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_ARM } = architectures;
  const siblings = native === SCMP_ARCH_X86_64 ? [SCMP_ARCH_X86, SCMP_ARCH_X32] : [SCMP_ARCH_ARM];
  const all = [native, ...siblings];
  return Object.keys(architectures).filter((name) => all.includes(architectures[name]));
}
