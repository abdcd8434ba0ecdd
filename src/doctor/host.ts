import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statfsSync } from "node:fs";
import { loadLibrary } from "../../bindings/ffi/koffi.ts";
import { type SyscallName, trySyscall } from "../../bindings/ffi/syscall.ts";
import { isWritableCgroup } from "../cgroup/path.ts";
import { findProgram } from "../container/find-program.ts";
import { userName } from "../container/state.ts";

/** What a host offers: plain facts, to be judged by host-judgement.ts. */
export interface Host {
  /** uname -r */
  readonly kernel: string;
  readonly architecture: string;
  readonly isRoot: boolean;
  /** Of the initial user namespace, or of another. */
  readonly inUserNamespace: boolean;
  readonly user: string;
  readonly cgroup: "unified" | "hybrid" | "none";
  readonly controllers: readonly string[];
  /** Whether this user may make cgroups in his own one, and bring processes there. */
  readonly hasOwnCgroup: boolean;
  readonly hasCgroupKill: boolean;
  readonly hasPressure: boolean;
  /** Kinds of /proc/self/ns. */
  readonly namespaces: readonly string[];
  /** user.max_user_namespaces */
  readonly maxUserNamespaces: number;
  /** kernel.apparmor_restrict_unprivileged_userns of Ubuntu, kernel.unprivileged_userns_clone of Debian: who is not root gets none. */
  readonly restrictsUserNamespaces: "AppArmor" | "sysctl" | "no";
  readonly missingCalls: readonly SyscallName[];
  /** errno name of a look at the device programs of the root cgroup; undefined if it went well. */
  readonly bpfFailure: string | undefined;
  /** API level of libseccomp; undefined without it. */
  readonly seccompLevel: number | undefined;
  readonly seccompActions: readonly string[];
  readonly securityModules: readonly string[];
  readonly hasSystemd: boolean;
  readonly hasSdBus: boolean;
  readonly idHelpers: boolean;
  /** Whether /etc/subuid and /etc/subgid name this user. */
  readonly subordinateIds: boolean;
  /** First line of `criu --version`. */
  readonly criu: string | undefined;
  readonly hasResctrl: boolean;
  readonly hasNuma: boolean;
  readonly fileSystems: readonly string[];
  readonly hugepageSizes: readonly string[];
  readonly hasSwap: boolean;
}

/** Calls of the newest kernels that the runtime can't do without, and one that only id-mapped mounts and recursive flags need. */
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

export function inspectHost(): Host {
  const isRoot = process.geteuid?.() === 0;
  const user = userName(process.geteuid?.() ?? 0);
  return {
    kernel: text("/proc/sys/kernel/osrelease"),
    architecture: process.arch,
    isRoot,
    inUserNamespace: !/^\s*0\s+0\s+4294967295\s*$/.test(text("/proc/self/uid_map")),
    user,
    cgroup: cgroupKind(),
    controllers: words("/sys/fs/cgroup/cgroup.controllers"),
    hasOwnCgroup: isWritableCgroup(`/sys/fs/cgroup${ownCgroup()}`),
    hasCgroupKill: readdir("/sys/fs/cgroup").some((name) => existsSync(`/sys/fs/cgroup/${name}/cgroup.kill`)),
    hasPressure: existsSync("/proc/pressure/cpu"),
    namespaces: readdir("/proc/self/ns").filter((name) => !name.endsWith("_for_children")),
    maxUserNamespaces: Number(text("/proc/sys/user/max_user_namespaces") || 0),
    restrictsUserNamespaces: restriction(),
    missingCalls: CALLS.filter((name) => !hasCall(name)),
    bpfFailure: bpfFailure(),
    seccompLevel: seccompLevel(),
    seccompActions: words("/proc/sys/kernel/seccomp/actions_avail"),
    securityModules: text("/sys/kernel/security/lsm").split(",").filter(Boolean),
    hasSystemd: existsSync("/run/systemd/system"),
    hasSdBus: hasLibrary("libsystemd.so.0"),
    idHelpers: ["newuidmap", "newgidmap"].every((name) => findProgram(name) !== undefined),
    subordinateIds: ["/etc/subuid", "/etc/subgid"].every((file) => namesUser(file, user)),
    criu: criuVersion(),
    hasResctrl: /^nodev\s+resctrl$/m.test(text("/proc/filesystems")),
    hasNuma: readdir("/sys/devices/system/node").filter((name) => /^node\d+$/.test(name)).length > 1,
    fileSystems: text("/proc/filesystems")
      .split("\n")
      .map((line) => line.split("\t")[1] ?? ""),
    hugepageSizes: readdir("/sys/kernel/mm/hugepages").map((name) => name.replace("hugepages-", "")),
    hasSwap: text("/proc/swaps").split("\n").length > 1,
  };
}

/** Without the line's end; empty if it can't be read. */
function text(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

function words(path: string): string[] {
  return text(path).split(/\s+/).filter(Boolean);
}

function readdir(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}

function ownCgroup(): string {
  const path = /^0::(.*)$/m.exec(text("/proc/self/cgroup"))?.[1] ?? "/";
  return path === "/" ? "" : path;
}

function cgroupKind(): Host["cgroup"] {
  const CGROUP2_SUPER_MAGIC = 0x63677270;
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
  if (text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") === "1") return "AppArmor";
  return text("/proc/sys/kernel/unprivileged_userns_clone") === "0" ? "sysctl" : "no";
}

/** With arguments that no call accepts: what it says then is not that there is no such call. */
function hasCall(name: SyscallName): boolean {
  const ENOSYS = 38;
  return trySyscall(name, -1, null, -1, null, 0) !== -ENOSYS;
}

/** Reading the attached programs needs the same rights as attaching one. */
function bpfFailure(): string | undefined {
  const EPERM = 1;
  const BPF_PROG_QUERY = 16;
  // An empty query is no valid one (EINVAL, EFAULT); who may not ask hears of that first.
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
  const uid = String(process.geteuid?.() ?? 0);
  return text(file)
    .split("\n")
    .some((line) => [user, uid].includes(line.split(":")[0] ?? ""));
}

function criuVersion(): string | undefined {
  const file = findProgram("criu");
  if (file === undefined) return undefined;
  const TIMEOUT_MS = 5000;
  const { stdout } = spawnSync(file, ["--version"], { encoding: "utf8", timeout: TIMEOUT_MS });
  return stdout?.split("\n")[0]?.replace(/^Version:\s*/, "");
}
