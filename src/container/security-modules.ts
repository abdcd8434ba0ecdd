import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../bindings/abi/fcntl.ts";
import { statfsSync } from "../../bindings/linux/file-status.ts";
import { openSync, readFileSync } from "../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import { RuntsError } from "../errors.ts";
import { wantsLabel } from "../plan/security-labels.ts";
import type { Config, Process } from "../spec/types.ts";

/** linux/magic.h */
const SELINUX_MAGIC = 0xf97cff8c;

/**
 * Opens the host's procfs for the labels that a process asks for; undefined if it asks for none. A label that the host's kernel
 * can't give is an error, not a process without it.
 */
export function openLabelProcfs(process: Process): OwnedDescriptor | undefined {
  if (!wantsLabel(process)) return undefined;
  const { apparmorProfile = "", selinuxLabel = "" } = process;
  if (apparmorProfile !== "" && !appArmorIsEnabled())
    throw notEnabled("/process/apparmorProfile", "AppArmor");
  if (selinuxLabel !== "" && !selinuxIsEnabled()) throw notEnabled("/process/selinuxLabel", "SELinux");
  return new OwnedDescriptor(openSync("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/**
 * The label of new file systems. Without SELinux there is no such thing as a label, and the public conformance suite wants a
 * container all the same: it is told, not refused.
 */
export function mountLabelOf({ linux }: Config, warn: (message: string) => void): string {
  const { mountLabel = "" } = linux ?? {};
  if (mountLabel === "" || selinuxIsEnabled()) return mountLabel;
  warn(`/linux/mountLabel: SELinux is not enabled on this host: no mount gets the label ${mountLabel}`);
  return "";
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
