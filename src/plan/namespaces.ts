import { nulTerminated } from "../../bindings/abi/c-string.ts";
import {
  KEY_POS_ALL,
  KEY_USR_LINK,
  KEY_USR_READ,
  KEY_USR_SEARCH,
  KEY_USR_VIEW,
  KEYCTL_JOIN_SESSION_KEYRING,
  KEYCTL_SETPERM,
} from "../../bindings/abi/keyctl.ts";
import { ifreq } from "../../bindings/abi/layouts.ts";
import * as sched from "../../bindings/abi/sched.ts";
import {
  AF_INET,
  IFF_RUNNING,
  IFF_UP,
  SIOCSIFFLAGS,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
} from "../../bindings/abi/socket.ts";
import { data, type Program } from "../../bindings/stub/program.ts";
import { outerId } from "../spec/id-map.ts";
import type { IdMapping, Linux } from "../spec/types.ts";
import { type InitPlan, unsharedAsRoot } from "./init-plan.ts";
import { setDumpable } from "./process/credentials.ts";

/** Namespaces, and settings of the kernel that belong to them, except mounts and sysctls. */

/** Ids of the owner of what is made in a user namespace: rootIds. */
export interface RootIds {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Becomes root of the user namespace, so that everything made in the rootfs from here on belongs to it: the caller's user ID may have no
 * mapping there. Host paths are opened before, with the caller's permissions.
 */
export function becomeRootOf(
  program: Program,
  { uid, gid }: RootIds,
  { setsGroups, staysDumpable = false }: { readonly setsGroups: boolean; readonly staysDumpable?: boolean },
): void {
  program.about("/linux/uidMappings", "become root in the user namespace");
  if (setsGroups) program.do("setgroups", [0, 0]);
  program.do("setresgid", [gid, gid, gid]);
  program.do("setresuid", [uid, uid, uid]);
  setDumpable(program, staysDumpable);
}

/**
 * The ids that own what is made in a new user namespace: 0 or, if that is not mapped, the first id that is. A process has all capabilities
 * in its new user namespace, whatever its ids are: user_namespaces(7).
 */
export function rootIds({ uidMappings = [], gidMappings = [] }: Linux): RootIds {
  const first = (mappings: readonly IdMapping[]) =>
    outerId(0, mappings) === undefined ? (mappings[0]?.containerID ?? 0) : 0;
  return { uid: first(uidMappings), gid: first(gidMappings) };
}

/** CLONE_NEW* by the namespace type of config.json. */
export const NAMESPACE_FLAGS: Readonly<Record<string, number>> = {
  mount: sched.CLONE_NEWNS,
  uts: sched.CLONE_NEWUTS,
  ipc: sched.CLONE_NEWIPC,
  user: sched.CLONE_NEWUSER,
  pid: sched.CLONE_NEWPID,
  network: sched.CLONE_NEWNET,
  cgroup: sched.CLONE_NEWCGROUP,
  time: sched.CLONE_NEWTIME,
};

/** Unshares the namespaces of `unsharedAsRoot`, once init is root of its user namespace. */
export function unshareAsRoot(program: Program, plan: InitPlan): void {
  let flags = 0;
  for (const type of unsharedAsRoot(plan.namespaces)) flags |= NAMESPACE_FLAGS[type] ?? 0;
  if (flags === 0) return;
  program.about("/linux/namespaces", "unshare the namespaces that belong to root of the user namespace");
  program.do("unshare", [flags]);
}

/**
 * Lets the container use all CPUs of its cgroup, even if the caller is pinned to some. The kernel reduces the mask to the CPUs of the cpuset
 * (sched_setaffinity(2)). The mask has 8192 bits, the largest NR_CPUS that the kernel can be built with.
 */
export function resetCpuAffinity(program: Program): void {
  const mask = new Uint8Array(1024).fill(0xff);
  program.about("", "use all CPUs that the cgroup allows");
  program.do("sched_setaffinity", [0, mask.length, data(mask)]);
}

/** Unshares the cgroup namespace, once init is in its cgroup: that becomes the namespace's root. */
export function enterCgroupNamespace(program: Program, plan: InitPlan): void {
  if (!plan.namespaces.created.has("cgroup")) return;
  program.about("/linux/namespaces", "make a cgroup namespace");
  program.do("unshare", [sched.CLONE_NEWCGROUP]);
}

/**
 * Joins a session keyring of this name, so that the caller's keys don't leak into the container (keyrings(7)); without a name the caller's
 * stays. Like its peers, runts goes on if the kernel has no keyrings, a seccomp filter denies them or the quota is used up.
 */
export function joinSessionKeyring(program: Program, name: string | undefined): void {
  if (name === undefined) return;
  // The container's user must be able to use its own keys.
  const forUser = KEY_USR_VIEW | KEY_USR_READ | KEY_USR_SEARCH | KEY_USR_LINK;
  program.about("", "join a new session keyring");
  const keyring = program.call("keyctl", [KEYCTL_JOIN_SESSION_KEYRING, name], {
    path: "session keyring",
    tolerate: ["ENOSYS", "EPERM", "EDQUOT"],
  });
  program.do("keyctl", [KEYCTL_SETPERM, keyring, KEY_POS_ALL | forUser], {
    if: [keyring, "positive"],
    tolerate: ["EACCES", "EPERM"],
  });
}

/** Brings up the loopback interface of a new network namespace, where it starts down. netdevice(7) */
export function bringLoopbackUp(program: Program, plan: InitPlan): void {
  if (!plan.namespaces.created.has("network")) return;
  const request = new Uint8Array(ifreq.size);
  request.set(nulTerminated("lo"));
  request[ifreq.ifr_flags] = IFF_UP | IFF_RUNNING;
  program.about("/linux/namespaces", "bring the loopback interface up");
  const socket = program.call("socket", [AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0], {
    tolerate: ["EAFNOSUPPORT"],
  });
  program.do("ioctl", [socket, SIOCSIFFLAGS, data(request)], { if: [socket, "ok"], path: "lo" });
  program.do("close", [socket], { if: [socket, "ok"] });
}

export function setNames(program: Program, plan: InitPlan): void {
  const { hostname, domainname } = plan.config;
  if (hostname !== undefined && hostname !== "") {
    program.about("/hostname", "set the host name");
    program.do("sethostname", [hostname, Buffer.byteLength(hostname)]);
  }
  if (domainname !== undefined && domainname !== "") {
    program.about("/domainname", "set the domain name");
    program.do("setdomainname", [domainname, Buffer.byteLength(domainname)]);
  }
}
