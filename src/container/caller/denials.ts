import { oneLine } from "../../../bindings/abi/printable.ts";
import { readFileSync } from "../../../bindings/linux/files.ts";
import { parseMountInfo } from "../../../bindings/linux/mount-info.ts";
import { prlimit } from "../../../bindings/linux/rlimit.ts";
import { denialReason, isDenial } from "../../cgroup/errors.ts";
import { RuntsError, reworded } from "../../errors.ts";
import { hasNamespace, namespacesOf } from "../../plan/init-plan.ts";
import { parseMountOptions } from "../../plan/mounts/options.ts";
import { outerId, parseIdMap } from "../../spec/id-map.ts";
import type { Config, Mount } from "../../spec/types.ts";
import type { Caller } from "./caller.ts";
import { obstacleText, obstacleTo } from "./revealing.ts";

/** Reads a setting of the kernel; undefined if there is none. Tests pass their own function. */
export type ReadSetting = (path: string) => string | undefined;

/**
 * Adds to an error what a caller without the host's root rights has to change, on the host or in the config. `cgroup` is that of a
 * container in which something was to be executed.
 */
export function explainDenial(
  error: unknown,
  caller: Pick<Caller, "privileged">,
  config: Config,
  cgroup = "",
  read: ReadSetting = readSetting,
): unknown {
  if (!(error instanceof RuntsError)) return error;
  const hint =
    namespaceHint(error, caller, config, read) ??
    cgroupHint(error, cgroup) ??
    mountHint(error, config, read) ??
    processHint(error, config, read) ??
    securityModuleHint(error, caller, read);
  if (hint === undefined || error.message.includes(oneLine(hint))) return error;
  return reworded(error, `${error.message}; ${hint}`);
}

/** Limits of namespaces, as /proc/sys/user names them. namespaces(7), "The /proc/sys/user directory" */
const NAMESPACE_LIMITS = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"];

function namespaceHint(
  { operation, errno }: RuntsError,
  { privileged }: Pick<Caller, "privileged">,
  config: Config,
  read: ReadSetting,
): string | undefined {
  if (operation !== "clone3" && operation !== "unshare") return undefined;
  if (errno === "ENOSPC") {
    const names = NAMESPACE_LIMITS.map((name) => `user.max_${name}_namespaces`);
    const zero = names.find((name) => read(`/proc/sys/user/${name.slice("user.".length)}`) === "0");
    return zero === undefined
      ? "a limit of namespaces is reached: raise user.max_user_namespaces and the others in /proc/sys/user"
      : `${zero} is 0 on this host: as root, sysctl -w ${zero}=15000`;
  }
  if (errno !== "EPERM") return undefined;
  if (!privileged && !hasNamespace(namespacesOf(config), "user"))
    return "a user without privileges needs a user namespace with mappings in linux.namespaces: runts spec --rootless writes such a config";
  if (read("/proc/sys/kernel/unprivileged_userns_clone") === "0")
    return "kernel.unprivileged_userns_clone is 0 on this host: as root, sysctl -w kernel.unprivileged_userns_clone=1";
  return undefined;
}

/** Ubuntu's AppArmor lets a user namespace be made, and then denies all that it is good for. */
function securityModuleHint(
  { errno }: RuntsError,
  { privileged }: Pick<Caller, "privileged">,
  read: ReadSetting,
): string | undefined {
  const name = "kernel.apparmor_restrict_unprivileged_userns";
  if (privileged || !isDenial(errno) || read(`/proc/sys/${name.replace(".", "/")}`) !== "1") return undefined;
  return `${name} is 1 on this host: as root, sysctl -w ${name}=0, or give runts an AppArmor profile with userns`;
}

function cgroupHint({ operation, errno }: RuntsError, cgroup: string): string | undefined {
  return operation === "clone3" && errno === "EACCES" && cgroup !== "" ? denialReason(cgroup) : undefined;
}

function mountHint(error: RuntsError, config: Config, read: ReadSetting): string | undefined {
  const index = /^\/mounts\/(\d+)/.exec(error.pointer ?? "")?.[1];
  const mount = index === undefined ? undefined : config.mounts?.[Number(index)];
  if (mount === undefined) return undefined;
  const { operation = "", errno, path = "" } = error;
  const id = /^([ug]id)=(\d+)$/.exec(path);
  if (operation === "fsconfig" && errno === "EINVAL" && id !== null)
    return unmapped(`${path}: this id`, id[1] === "uid" ? "uid" : "gid", config, Number(id[2]), read);
  if (operation === "open_tree" && errno === "EINVAL")
    return "with mounts below the source, a user namespace allows a recursive bind only: option rbind";
  if (!isDenial(errno)) return undefined;
  if (operation === "mount_setattr")
    return "a flag of a host's mount (ro, nosuid, nodev, noexec, atime) can't be taken away in a user namespace: list it in options";
  if (!operation.startsWith("fs")) return undefined;
  if (operation === "fsmount" && (mount.type === "proc" || mount.type === "sysfs")) {
    const hint = revealingHint(mount.type, mount, read);
    if (hint !== undefined) return hint;
  }
  if (mount.type === "sysfs")
    return "a user namespace mounts sysfs only with a network namespace of its own: add one, or bind /sys with rbind";
  if (mount.type === "mqueue") return "a user namespace mounts mqueue only with an ipc namespace of its own";
  if (mount.type === "proc")
    return "a user namespace mounts proc only with a pid namespace of its own, and where nothing hides parts of /proc of the host";
  return `a user namespace may not mount ${mount.type ?? "this"} on this kernel`;
}

/** Names what keeps a new proc or sysfs out of a user namespace, though the container has the namespaces that it needs. */
function revealingHint(
  type: "proc" | "sysfs",
  { options = [] }: Mount,
  read: ReadSetting,
): string | undefined {
  const { set } = parseMountOptions(options).attributes;
  const obstacle = obstacleTo(type, set, parseMountInfo(read("/proc/self/mountinfo") ?? ""));
  if (obstacle === undefined) return undefined;
  const { reason, fix } = obstacleText(type, obstacle);
  return `the kernel refuses that in a user namespace, since ${reason}: ${fix}`;
}

function unmapped(
  what: string,
  kind: "uid" | "gid",
  config: Config,
  id: number,
  read: ReadSetting,
): string | undefined {
  if (!hasNamespace(namespacesOf(config), "user")) {
    if (outerId(id, parseIdMap(read(`/proc/self/${kind}_map`) ?? "")) !== undefined) return undefined;
    return `${what} is not mapped in the caller's user namespace, which the container shares: use another one`;
  }
  const name = `${kind}Mappings` as const;
  if (outerId(id, config.linux?.[name] ?? []) !== undefined) return undefined;
  return `${what} is not in /linux/${name}: map it, or use another one`;
}

function processHint(error: RuntsError, config: Config, read: ReadSetting): string | undefined {
  const { pointer = "", errno } = error;
  const { user, rlimits = [] } = config.process ?? {};
  if (errno === "EINVAL" && pointer === "/process/user/uid")
    return unmapped("it", "uid", config, user?.uid ?? 0, read);
  if (errno === "EINVAL" && pointer === "/process/user/gid")
    return unmapped("it", "gid", config, user?.gid ?? 0, read);
  if (!isDenial(errno)) return undefined;
  if (pointer === "/process/oomScoreAdj") {
    const current = read("/proc/self/oom_score_adj") ?? "0";
    return `without CAP_SYS_RESOURCE it can't be lower than the caller's, ${current}`;
  }
  const limit = rlimits[Number(/^\/process\/rlimits\/(\d+)/.exec(pointer)?.[1] ?? Number.NaN)];
  if (limit === undefined) return undefined;
  return `without CAP_SYS_RESOURCE the hard limit can't be higher than the caller's, ${prlimit(0, limit.type).hard}`;
}

export function readSetting(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1").trim();
  } catch {
    return undefined;
  }
}
