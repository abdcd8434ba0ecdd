import { spawnSync } from "node:child_process";
import { existsSync, statfsSync } from "node:fs";
import { BPF_PROG_QUERY } from "../../bindings/abi/bpf.ts";
import { ENOSYS, EPERM } from "../../bindings/abi/errno.ts";
import { MOUNT_ATTR_RDONLY } from "../../bindings/abi/mount.ts";
import { loadLibrary } from "../../bindings/ffi/koffi.ts";
import { type SyscallName, trySyscall } from "../../bindings/ffi/syscall.ts";
import { type KernelLandlock, kernelLandlock } from "../../bindings/linux/landlock.ts";
import { mountsOf } from "../../bindings/linux/mount-info.ts";
import { effectiveUid, wholeEnvironment } from "../../bindings/linux/own-process.ts";
import { CGROUP2_SUPER_MAGIC } from "../cgroup/files.ts";
import { isWritableCgroup } from "../cgroup/path.ts";
import { inspectCaller } from "../container/caller/caller.ts";
import { appArmorIsEnabled, selinuxIsEnabled } from "../container/caller/lsm.ts";
import { type Obstacle, obstacleTo } from "../container/caller/revealing.ts";
import { findProgram } from "../container/process/find-program.ts";
import { userName } from "../container/record/status.ts";
import { type ColdReason, coldReason } from "../freeze/cold-reason.ts";
import {
  controllers,
  fileSystems,
  maxUserNamespaces,
  namesIn,
  namespaceFiles,
  textOf,
  words,
} from "../inspect/kernel-features.ts";

/** Facts about a host, which host-judgement.ts judges. */
export interface Host {
  /** uname -r */
  readonly kernel: string;
  readonly architecture: string;
  readonly isRoot: boolean;
  /** Whether the caller is in another user namespace than the initial one. */
  readonly inUserNamespace: boolean;
  readonly user: string;
  readonly cgroup: "unified" | "hybrid" | "none";
  readonly controllers: readonly string[];
  /** Whether this user may make cgroups in their own cgroup, and move processes into them. */
  readonly hasOwnCgroup: boolean;
  readonly hasCgroupKill: boolean;
  readonly hasPressure: boolean;
  /** Kinds of namespaces, as in /proc/self/ns. */
  readonly namespaces: readonly string[];
  /** user.max_user_namespaces */
  readonly maxUserNamespaces: number;
  /**
   * Why only root may make user namespaces: kernel.apparmor_restrict_unprivileged_userns of Ubuntu, kernel.unprivileged_userns_clone of
   * Debian.
   */
  readonly restrictsUserNamespaces: "AppArmor" | "sysctl" | "no";
  /** What keeps a new proc, and a read-only sysfs, out of a new user namespace; undefined if nothing does. */
  readonly procObstacle: Obstacle | undefined;
  readonly sysfsObstacle: Obstacle | undefined;
  readonly missingCalls: readonly SyscallName[];
  /** `EPERM` or `ENOSYS` where device programs can't be attached; undefined where they can. */
  readonly bpfFailure: string | undefined;
  /** API level of libseccomp; undefined without it. */
  readonly seccompLevel: number | undefined;
  readonly seccompActions: readonly string[];
  /** Security modules that are enabled: `apparmor`, `selinux`. */
  readonly securityModules: readonly string[];
  readonly landlock: KernelLandlock;
  readonly hasSystemd: boolean;
  readonly hasSdBus: boolean;
  readonly idHelpers: boolean;
  /** Whether /etc/subuid and /etc/subgid name this user. */
  readonly subordinateIds: boolean;
  /** Lowest id that is above all ranges in those files. */
  readonly freeSubordinateId: number;
  /** First line of `criu --version`. */
  readonly criu: string | undefined;
  readonly hasResctrl: boolean;
  readonly hasNuma: boolean;
  readonly fileSystems: readonly string[];
  readonly hugepageSizes: readonly string[];
  readonly hasSwap: boolean;
  /** Why this start was cold; undefined if it was warm. */
  readonly coldReason: ColdReason | undefined;
}

/** The newest system calls that the runtime needs, and two that a kernel may be built without: bpf and seccomp. */
const CALLS: readonly SyscallName[] = [
  "clone3",
  "openat2",
  "pidfd_open",
  "pidfd_send_signal",
  "close_range",
  "open_tree",
  "move_mount",
  "fsopen",
  "fsconfig",
  "fsmount",
  "mount_setattr",
  "bpf",
  "seccomp",
];

const SUBORDINATE_ID_FILES = ["/etc/subuid", "/etc/subgid"];

export function inspectHost(): Host {
  const { uid, privileged, inUserNamespace } = inspectCaller();
  const user = userName(uid);
  return {
    kernel: textOf("/proc/sys/kernel/osrelease"),
    architecture: process.arch,
    isRoot: privileged,
    inUserNamespace,
    user,
    cgroup: cgroupKind(),
    controllers: controllers(),
    hasOwnCgroup: isWritableCgroup(`/sys/fs/cgroup${ownCgroup()}`),
    hasCgroupKill: namesIn("/sys/fs/cgroup").some((name) => existsSync(`/sys/fs/cgroup/${name}/cgroup.kill`)),
    hasPressure: existsSync("/proc/pressure/cpu"),
    namespaces: namespaceFiles(),
    maxUserNamespaces: maxUserNamespaces() ?? 0,
    restrictsUserNamespaces: restriction(),
    procObstacle: obstacleTo("proc", 0, mountsOf("self")),
    // As configs mount it as a rule.
    sysfsObstacle: obstacleTo("sysfs", MOUNT_ATTR_RDONLY, mountsOf("self")),
    missingCalls: CALLS.filter((name) => !hasCall(name)),
    bpfFailure: bpfFailure(),
    seccompLevel: seccompLevel(),
    seccompActions: words(textOf("/proc/sys/kernel/seccomp/actions_avail")),
    securityModules: [
      ...(appArmorIsEnabled() ? ["apparmor"] : []),
      ...(selinuxIsEnabled() ? ["selinux"] : []),
    ],
    landlock: kernelLandlock(),
    hasSystemd: existsSync("/run/systemd/system"),
    hasSdBus: hasLibrary("libsystemd.so.0"),
    idHelpers: ["newuidmap", "newgidmap"].every((name) => findProgram(name) !== undefined),
    subordinateIds: SUBORDINATE_ID_FILES.every((file) => namesUser(file, user)),
    freeSubordinateId: freeSubordinateId(SUBORDINATE_ID_FILES.map(textOf).join("\n")),
    criu: criuVersion(),
    hasResctrl: fileSystems().includes("resctrl"),
    hasNuma: namesIn("/sys/devices/system/node").filter((name) => /^node\d+$/.test(name)).length > 1,
    fileSystems: fileSystems(),
    hugepageSizes: namesIn("/sys/kernel/mm/hugepages").map((name) => name.replace("hugepages-", "")),
    hasSwap: textOf("/proc/swaps").split("\n").length > 1,
    coldReason: coldReason(),
  };
}

function ownCgroup(): string {
  const path = /^0::(.*)$/m.exec(textOf("/proc/self/cgroup"))?.[1] ?? "/";
  return path === "/" ? "" : path;
}

function cgroupKind(): Host["cgroup"] {
  const isUnified = (path: string): boolean => {
    try {
      return statfsSync(path).type === CGROUP2_SUPER_MAGIC;
    } catch {
      return false;
    }
  };
  if (isUnified("/sys/fs/cgroup")) return "unified";
  return isUnified("/sys/fs/cgroup/unified") || existsSync("/sys/fs/cgroup/memory") ? "hybrid" : "none";
}

function restriction(): Host["restrictsUserNamespaces"] {
  if (textOf("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") === "1") return "AppArmor";
  return textOf("/proc/sys/kernel/unprivileged_userns_clone") === "0" ? "sysctl" : "no";
}

/** Whether the kernel has a system call: it refuses the arguments, which no call accepts, with another errno than ENOSYS. */
function hasCall(name: SyscallName): boolean {
  return trySyscall(name, -1, null, -1, null, 0) !== -ENOSYS;
}

/** Queries device programs, which needs the same rights as attaching one. */
function bpfFailure(): string | undefined {
  // The query is empty, and so invalid (EINVAL, EFAULT); the kernel checks the rights first.
  const result = trySyscall("bpf", BPF_PROG_QUERY, new Uint8Array(32), 32);
  if (result === -EPERM) return "EPERM";
  return hasCall("bpf") ? undefined : "ENOSYS";
}

function hasLibrary(name: string): boolean {
  try {
    loadLibrary(name);
    return true;
  } catch {
    return false;
  }
}

/** unsigned int seccomp_api_get(void). seccomp_api_get(3) */
function seccompLevel(): number | undefined {
  try {
    return Number(loadLibrary("libseccomp.so.2").func("unsigned int seccomp_api_get(void)")());
  } catch {
    return undefined;
  }
}

function namesUser(file: string, user: string): boolean {
  const uid = String(effectiveUid());
  return textOf(file)
    .split("\n")
    .some((line) => [user, uid].includes(line.split(":")[0] ?? ""));
}

/** `lines` are NAME:FIRST:COUNT, as in subuid(5). Users who shared a range could enter each other's containers. */
export function freeSubordinateId(lines: string): number {
  const SUB_UID_MIN = 100_000; // login.defs(5)
  const ends = [...lines.matchAll(/^[^:\n]*:(\d+):(\d+)$/gm)].map(
    ([, first, count]) => Number(first) + Number(count),
  );
  return ends.reduce((most, end) => Math.max(most, end), SUB_UID_MIN);
}

function criuVersion(): string | undefined {
  const file = findProgram("criu");
  if (file === undefined) return undefined;
  const TIMEOUT_MS = 5000;
  const { stdout } = spawnSync(file, ["--version"], {
    encoding: "utf8",
    timeout: TIMEOUT_MS,
    env: wholeEnvironment(),
  });
  return stdout?.split("\n")[0]?.replace(/^Version:\s*/, "");
}
