import { type RuntsError, reworded } from "../../errors.ts";
import { hasNamespace, namespacesOf } from "../../plan/init-plan.ts";
import type { Config, Process } from "../../spec/types.ts";
import { type ReadSetting, readSetting } from "./denials.ts";

/**
 * Adds to an error how a security module has caused it, and what has to change: it does not take a label, or denies a call, which the kernel
 * tells by no more than an errno.
 */
export function explainLabelFailure(
  error: RuntsError,
  process: Process,
  config: Config,
  read: ReadSetting = readSetting,
): RuntsError {
  const hint =
    profileHint(error, process, read) ?? labelHint(error, read) ?? namespaceHint(error, config, read);
  if (hint !== undefined) return reworded(error, `${error.message}; ${hint}`);
  const mount = mountLabelHint(error, config, read);
  if (mount === undefined) return error;
  return reworded(error, `/linux/mountLabel: ${error.message}; ${mount}`, "/linux/mountLabel");
}

/** Like explainLabelFailure, for an execve, at which a process changes to its label, and whose failure the files don't explain. */
export function explainTransition(
  error: RuntsError,
  process: Process,
  read: ReadSetting = readSetting,
): RuntsError {
  const hint = transitionHint(error, process, read);
  return hint === undefined ? error : reworded(error, `${error.message}; ${hint}`);
}

const NO_CONTEXT = "SELinux' policy on this host has no such context";

function profileHint(
  { pointer, errno, operation }: RuntsError,
  { apparmorProfile }: Process,
  read: ReadSetting,
): string | undefined {
  if (pointer !== "/process/apparmorProfile" || operation !== "write") return undefined;
  if (errno === "ENOENT")
    return "no profile of this name is loaded on this host: apparmor_parser --replace loads those of a file";
  const own = ownProfile(read);
  return errno === "EACCES" && own !== undefined
    ? `${own}, which needs "change_profile -> ${apparmorProfile},"`
    : undefined;
}

function labelHint({ pointer, errno, operation }: RuntsError, read: ReadSetting): string | undefined {
  if (pointer !== "/process/selinuxLabel" || operation !== "write") return undefined;
  if (errno === "EINVAL") return NO_CONTEXT;
  if (errno !== "EACCES") return undefined;
  return `SELinux' policy has to allow ${ownContext(read)} setexec and, for the container's keyring, setkeycreate and to create keys of this label`;
}

function transitionHint(
  { errno }: RuntsError,
  { apparmorProfile = "", selinuxLabel = "", noNewPrivileges = false }: Process,
  read: ReadSetting,
): string | undefined {
  const own = ownProfile(read);
  if (errno === "EPERM" && noNewPrivileges && apparmorProfile !== "" && own !== undefined)
    return `${own}, which can't be left for ${apparmorProfile} with /process/noNewPrivileges`;
  if (selinuxLabel === "") return undefined;
  const needed = `SELinux' policy has to allow ${ownContext(read)}`;
  if (errno === "EPERM" && noNewPrivileges)
    return `${needed} nnp_transition to ${selinuxLabel}, because of /process/noNewPrivileges`;
  if (errno !== "EACCES") return undefined;
  return `${needed} the transition to ${selinuxLabel}, and that this file is its entrypoint: ausearch -m AVC tells what was denied`;
}

function namespaceHint(
  { errno, operation = "", pointer }: RuntsError,
  config: Config,
  read: ReadSetting,
): string | undefined {
  const makesNamespace = ["clone3", "unshare"].includes(operation) && pointer === "/linux/namespaces";
  if (!makesNamespace || errno !== "EACCES" || !hasNamespace(namespacesOf(config), "user")) return undefined;
  const own = ownProfile(read);
  return own === undefined ? undefined : `${own}, which needs "userns,"`;
}

/** For a new file system with a label: the kernel refuses a label that its policy doesn't know, and then one that the policy doesn't allow. */
function mountLabelHint(
  { errno, operation, path = "" }: RuntsError,
  { linux }: Config,
  read: ReadSetting,
): string | undefined {
  const { mountLabel = "" } = linux ?? {};
  if (mountLabel === "" || operation !== "fsconfig") return undefined;
  if (errno === "EINVAL" && path.endsWith(`context=${mountLabel}`)) return NO_CONTEXT;
  return errno === "EACCES" && read("/sys/fs/selinux/enforce") === "1"
    ? `SELinux' policy has to allow ${ownContext(read)} to mount it with ${mountLabel}: relabelfrom and relabelto`
    : undefined;
}

/** The profile that confines the runtime itself, as the beginning of a sentence; undefined if none does. */
function ownProfile(read: ReadSetting): string | undefined {
  const label = read("/proc/self/attr/apparmor/current") ?? read("/proc/self/attr/current");
  const profile = /^(.*) \(enforce\)$/.exec(label ?? "")?.[1];
  return profile === undefined ? undefined : `runts runs under the AppArmor profile ${profile}`;
}

function ownContext(read: ReadSetting): string {
  return read("/proc/self/attr/current")?.replace(/\0$/, "") ?? "runts";
}
