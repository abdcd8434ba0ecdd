import { statfsSync } from "../../../bindings/linux/file-status.ts";
import { readFileSync } from "../../../bindings/linux/files.ts";
import type { Program } from "../../../bindings/stub/program.ts";
import { RuntsError } from "../../errors.ts";
import { setExecLabels, wantsLabel } from "../../plan/process/labels.ts";
import type { Config, Process } from "../../spec/types.ts";
import { PROC_SUPER_MAGIC } from "../create/host-facts.ts";
import { explainLabelFailure } from "./label-failure.ts";

/** linux/magic.h */
const SELINUX_MAGIC = 0xf97cff8c;

/**
 * Returns a function that plans to set the labels that a process asks for, before its stub enters anything of a container; undefined if it asks for
 * none. A label that the host's kernel can't give is an error, not a process without it.
 */
export function execLabels(
  process: Process,
  makesKeyring: boolean,
): ((program: Program) => void) | undefined {
  if (!wantsLabel(process)) return undefined;
  const { apparmorProfile = "", selinuxLabel = "" } = process;
  if (apparmorProfile !== "" && !appArmorIsEnabled())
    throw notEnabled("/process/apparmorProfile", "AppArmor");
  if (selinuxLabel !== "" && !selinuxIsEnabled()) throw notEnabled("/process/selinuxLabel", "SELinux");
  checkProcfs(apparmorProfile === "" ? "/process/selinuxLabel" : "/process/apparmorProfile");
  return (program) => setExecLabels(program, process, makesKeyring);
}

/**
 * Returns the label of new file systems. Without SELinux there are no labels. The public conformance suite wants a container all the same, so this is
 * a warning and no error.
 */
export function mountLabelOf({ linux }: Config, warn: (message: string) => void): string {
  const { mountLabel = "" } = linux ?? {};
  if (mountLabel === "" || selinuxIsEnabled()) return mountLabel;
  warn(`/linux/mountLabel: SELinux is not enabled on this host: no mount gets the label ${mountLabel}`);
  return "";
}

/** Adds to an error how a security module has caused it. */
export function withLabelHint(error: unknown, process: Process, config: Config): unknown {
  if (!(error instanceof RuntsError)) return error;
  return explainLabelFailure(error, process, config);
}

/** Any other file at /proc would take the label like any text, and the process would be without it. */
function checkProcfs(pointer: string): void {
  if (statfsSync("/proc").type === PROC_SUPER_MAGIC) return;
  const message = `${pointer}: /proc, by which labels are set, is not procfs on this host`;
  throw new RuntsError(message, { operation: "exec", path: "/proc", pointer });
}

function notEnabled(pointer: string, module: string): RuntsError {
  return new RuntsError(`${pointer}: ${module} is not enabled on this host`, { operation: "exec", pointer });
}

export function appArmorIsEnabled(): boolean {
  try {
    return readFileSync("/sys/module/apparmor/parameters/enabled", "latin1").startsWith("Y");
  } catch {
    return false; // no such module in this kernel
  }
}

export function selinuxIsEnabled(): boolean {
  try {
    return statfsSync("/sys/fs/selinux").type === SELINUX_MAGIC;
  } catch {
    return false; // nothing is mounted there
  }
}
