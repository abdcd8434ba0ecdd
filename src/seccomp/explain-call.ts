import { UNKNOWN_SYSCALL } from "../../bindings/linux/libseccomp.ts";
import { RuntsError } from "../errors.ts";
import type { Seccomp } from "../spec/types.ts";
import { runFilter } from "./bpf-interpreter.ts";
import { compileSeccomp, loadLibseccomp } from "./compile.ts";
import { architectures } from "./constants.ts";
import { type Decision, explainVerdict } from "./decision.ts";
import { auditArch } from "./enosys.ts";
import { readProfile } from "./profile.ts";

export interface ExplainedCall extends Decision {
  readonly name: string;
  readonly number: number;
  /** Such as `x86_64`. */
  readonly architecture: string;
  readonly args: readonly bigint[];
}

/**
 * Compiles a profile and says what its filter answers to a system call of the native architecture, and why. `call` is a name or a number,
 * as in the kernel's log.
 */
export function explainCall(config: Seccomp, call: string, args: readonly bigint[]): ExplainedCall {
  const ignore = (): void => undefined;
  const library = loadLibseccomp();
  const native = library.nativeArch();
  const name = (/^\d{1,9}$/.test(call) ? library.syscallName(native, Number(call)) : undefined) ?? call;
  const [number = UNKNOWN_SYSCALL] = library.resolveSyscalls(native, [name]);
  const architecture = architectureName(native);
  if (number < 0) {
    const reason =
      number === UNKNOWN_SYSCALL
        ? "is not a system call known to libseccomp"
        : `does not exist on ${architecture}`;
    throw new RuntsError(`${name} ${reason}`, { operation: "seccomp", path: name });
  }
  const { filter } = compileSeccomp(config, ignore);
  const verdict = runFilter(filter, { arch: auditArch(native), nr: number, args });
  const decision = explainVerdict(readProfile(config, ignore), name, args, verdict);
  return { name, number, architecture, args, ...decision };
}

export function architectureName(token: number): string {
  const [name = `0x${token.toString(16)}`] =
    Object.entries(architectures).find(([, value]) => value === token) ?? [];
  return name.replace("SCMP_ARCH_", "").toLowerCase();
}
