import { statSync } from "node:fs";
import { capabilityNames } from "../../bindings/abi/capability.ts";
import { prlimit } from "../../bindings/linux/rlimit.ts";
import { neededControllers } from "../cgroup/create.ts";
import { findCgroupMount } from "../cgroup/path.ts";
import { type Caller, inspectCaller } from "../container/caller/caller.ts";
import { appArmorIsEnabled, selinuxIsEnabled } from "../container/caller/lsm.ts";
import { RuntsError } from "../errors.ts";
import { bindSource, isShownByEarlier } from "../inspect/container-view.ts";
import {
  controllers,
  fileSystems as fileSystemsHere,
  maxUserNamespaces,
  namespaceFiles,
  textOf,
} from "../inspect/kernel-features.ts";
import { isBind } from "../spec/bind-mount.ts";
import { pointerToken } from "../spec/json/scanner.ts";
import { namespaceFile } from "../spec/namespaces.ts";
import { sysctlPath } from "../spec/rules/sysctl.ts";
import type { Config } from "../spec/types.ts";
import { failure, type Tell, warning } from "./finding.ts";
import { eachHook } from "./linux-rules.ts";
import { exists, sourceExists } from "./mount-rules.ts";

/** Reports what the config asks for, and this kernel, its cgroups or this user can't give. */
export function hostRules(config: Config, bundle: string, tell: Tell): void {
  const caller = inspectCaller();
  cgroups(config, tell);
  rights(config, caller, tell);
  fileSystems(config, bundle, tell);
  namespaces(config, tell);
  sysctls(config, tell);
  securityModules(config, tell);
  hooks(config, tell);
}

function cgroups({ linux }: Config, tell: Tell): void {
  try {
    findCgroupMount();
  } catch (error) {
    if (!(error instanceof RuntsError)) throw error;
    tell(failure("no-cgroup2", "/linux/cgroupsPath", error.message));
    return;
  }
  const available = controllers();
  for (const [controller, pointer] of neededControllers(linux?.resources)) {
    if (available.includes(controller)) continue;
    const hint =
      "the kernel needs it built in, not disabled (cgroup_disable=), and in no cgroup v1 hierarchy";
    tell(failure("no-controller", pointer, `this host's cgroup v2 has no ${controller} controller`, hint));
  }
}

function rights(config: Config, caller: Caller, tell: Tell): void {
  const { process, linux } = config;
  const has = (name: string) => (caller.permitted & (1n << BigInt(capabilityNames.indexOf(name)))) !== 0n;
  const inOwnUserNamespace = (linux?.namespaces ?? []).some(({ type }) => type === "user");
  if (!caller.privileged && !inOwnUserNamespace) {
    const hint = "add one, with mappings: runts spec --rootless writes such a config";
    tell(failure("not-root", "/linux/namespaces", "a user who is not root needs a user namespace", hint));
  }
  for (const [set, names] of Object.entries(process?.capabilities ?? {})) {
    (names ?? []).forEach((name: string, index: number) => {
      const number = capabilityNames.indexOf(name);
      if (number < 0) return;
      const pointer = `/process/capabilities/${set}/${index}`;
      if (number > caller.lastCapability)
        tell(warning("unknown-capability", pointer, `${name} is not known to this kernel, and is left out`));
      else if (!inOwnUserNamespace && !has(name))
        tell(warning("missing-right", pointer, `${name} is not the caller's to give, and is left out`));
    });
  }
  rlimits(config, has("CAP_SYS_RESOURCE") && !caller.inUserNamespace, tell);
  const score = process?.oomScoreAdj;
  const own = Number(textOf("/proc/self/oom_score_adj"));
  if (score !== undefined && score < own && !has("CAP_SYS_RESOURCE"))
    tell(
      failure(
        "missing-right",
        "/process/oomScoreAdj",
        `can't be lowered from ${own} without CAP_SYS_RESOURCE`,
      ),
    );
}

function rlimits({ process }: Config, mayRaise: boolean, tell: Tell): void {
  (process?.rlimits ?? []).forEach(({ type, hard }, index) => {
    if (mayRaise) return;
    const current = prlimit(0, type).hard;
    if (hard <= current) return;
    const message = `is above this user's own hard limit ${current}, which only CAP_SYS_RESOURCE may raise`;
    tell(failure("rlimit-over-limit", `/process/rlimits/${index}/hard`, message));
  });
}

/** A type that /proc/filesystems doesn't list may still be a module that the kernel would load: hence a warning. */
function fileSystems(config: Config, bundle: string, tell: Tell): void {
  const known = new Set(fileSystemsHere());
  (config.mounts ?? []).forEach((mount, index) => {
    const { type = "", options = [] } = mount;
    if (isBind(mount)) {
      const source = bindSource(mount, bundle);
      const isHosts = (mount.source ?? "").startsWith("/") && !isShownByEarlier(config, bundle, index);
      if (isHosts && !sourceExists(mount, source))
        tell(failure("source-missing", `/mounts/${index}/source`, `${source} does not exist on this host`));
      return;
    }
    const kernels = type === "cgroup" ? "cgroup2" : type;
    if (kernels === "" || options.includes("remount") || known.has(kernels)) return;
    tell(
      warning(
        "no-file-system",
        `/mounts/${index}/type`,
        `${type} is not among this kernel's file systems, unless a module has it`,
      ),
    );
  });
}

function namespaces({ linux }: Config, tell: Tell): void {
  const known = namespaceFiles();
  (linux?.namespaces ?? []).forEach(({ type, path = "" }, index) => {
    const pointer = `/linux/namespaces/${index}`;
    if (!known.includes(namespaceFile(type)))
      tell(failure("no-namespace", `${pointer}/type`, `this kernel has no ${type} namespaces`));
    else if (path !== "" && !exists(path))
      tell(failure("namespace-missing", `${pointer}/path`, `${path} does not exist on this host`));
    else if (path === "" && type === "user" && maxUserNamespaces() === 0)
      tell(
        failure(
          "no-namespace",
          `${pointer}/type`,
          "user.max_user_namespaces is 0",
          "sysctl user.max_user_namespaces=10000",
        ),
      );
  });
}

function sysctls({ linux }: Config, tell: Tell): void {
  for (const key of Object.keys(linux?.sysctl ?? {})) {
    // Some exist only in a new network namespace, for its interfaces.
    if (key.startsWith("net.") || exists(`/proc/sys/${sysctlPath(key)}`)) continue;
    tell(failure("no-sysctl", `/linux/sysctl/${pointerToken(key)}`, "this kernel has no such setting"));
  }
}

function securityModules({ process }: Config, tell: Tell): void {
  const { apparmorProfile = "", selinuxLabel = "" } = process ?? {};
  if (apparmorProfile !== "" && !appArmorIsEnabled())
    tell(failure("no-security-module", "/process/apparmorProfile", "AppArmor is not enabled on this host"));
  if (selinuxLabel !== "" && !selinuxIsEnabled())
    tell(failure("no-security-module", "/process/selinuxLabel", "SELinux is not enabled on this host"));
}

/** The hooks are files of the host, except startContainer hooks, which are in the container's mount namespace. */
function hooks(config: Config, tell: Tell): void {
  eachHook(config, ({ path }, pointer, kind) => {
    if (kind === "startContainer") return;
    const problem = hookProblem(path);
    if (problem !== undefined) tell(failure("hook", `${pointer}/path`, `${path} ${problem}`));
  });
}

function hookProblem(path: string): string | undefined {
  try {
    const status = statSync(path);
    if (!status.isFile()) return "is not a file";
    return (status.mode & 0o111) === 0 ? "is not executable" : undefined;
  } catch {
    return "does not exist on this host";
  }
}
