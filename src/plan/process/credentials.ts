import {
  _LINUX_CAPABILITY_VERSION_3,
  CAP_CHOWN,
  CAP_DAC_OVERRIDE,
  CAP_SETGID,
  CAP_SETPCAP,
  CAP_SETUID,
  CAP_SYS_ADMIN,
  capabilityNames,
} from "../../../bindings/abi/capability.ts";
import {
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  PR_SET_DUMPABLE,
  PR_SET_KEEPCAPS,
  PR_SET_NO_NEW_PRIVS,
} from "../../../bindings/abi/prctl.ts";
import { data, type Program } from "../../../bindings/stub/program.ts";
import { RuntsError } from "../../errors.ts";
import type { Process } from "../../spec/types.ts";

export interface CredentialOptions {
  /** Number of the kernel's last capability, /proc/sys/kernel/cap_last_cap. */
  readonly lastCapability: number;
  /** Capabilities that the runtime itself holds, as a bit set: it can't grant any other. */
  readonly permitted: bigint;
  /** Keeps CAP_SYS_ADMIN until the execve: loading a seccomp filter without noNewPrivileges needs it. */
  readonly keepSysAdmin: boolean;
  /** Whether setgroups(2) is allowed, which is not so if /proc/PID/setgroups says "deny". */
  readonly canSetGroups: boolean;
  /** Keeps the caller's supplementary groups instead of setting those of the config. */
  readonly keepsGroups: boolean;
  readonly warn: (message: string) => void;
}

type SetName = "bounding" | "effective" | "inheritable" | "permitted" | "ambient";
type CapabilitySets = Readonly<Record<SetName, bigint>>;

/**
 * The five capability sets as bits. A capability that the kernel doesn't know or that the runtime can't grant is left out with a warning:
 * config.md, "Linux Process".
 */
export function capabilitySets(process: Process, options: CredentialOptions): CapabilitySets {
  const { capabilities = {} } = process;
  const bits = (set: SetName) => {
    let result = 0n;
    (capabilities[set] ?? []).forEach((name, index) => {
      const number = capabilityNames.indexOf(name);
      const known = number >= 0 && number <= options.lastCapability;
      if (known && (options.permitted & (1n << BigInt(number))) !== 0n) result |= 1n << BigInt(number);
      else {
        const reason = known ? "can't be granted by this caller" : "isn't known to this kernel";
        options.warn(`/process/capabilities/${set}/${index}: ${name} ${reason}: left out`);
      }
    });
    return result;
  };
  const sets = {
    bounding: bits("bounding"),
    effective: bits("effective"),
    inheritable: bits("inheritable"),
    permitted: bits("permitted"),
  };
  const wanted = bits("ambient");
  const ambient = wanted & sets.permitted & sets.inheritable;
  const lost = wanted & ~ambient;
  if (lost !== 0n) warnOfAmbient(capabilities.ambient ?? [], lost, options);
  return { ...sets, ambient };
}

/** Warns in the words of runc, which people search for. */
function warnOfAmbient(names: readonly string[], lost: bigint, { warn }: CredentialOptions): void {
  names.forEach((name, index) => {
    const number = capabilityNames.indexOf(name);
    if (number < 0 || (lost & (1n << BigInt(number))) === 0n) return;
    const where = `/process/capabilities/ambient/${index}`;
    warn(`${where}: can't raise ambient capability ${name}: it is not both permitted and inheritable`);
  });
}

/**
 * Changes to the user, groups and capabilities of the process. CAP_SYS_ADMIN may stay permitted until the execve, which drops it: the sets
 * after execve(2) depend on the inheritable, bounding and ambient sets alone (capabilities(7), "Transformation of capabilities during
 * execve").
 */
export function assumeCredentials(
  program: Program,
  process: Process,
  options: CredentialOptions,
  staysDumpable = false,
): void {
  const sets = capabilitySets(process, options);
  dropBounding(program, sets.bounding, options.lastCapability);
  program.about("/process/user", "keep the capabilities over the change of user");
  program.do("prctl", [PR_SET_KEEPCAPS, 1, 0, 0, 0]);
  setUser(program, process, options);
  // Before capset: while the process has all its capabilities, only CAP_SYS_PTRACE gets at it.
  setDumpable(program, staysDumpable);
  const extra = options.keepSysAdmin ? (1n << BigInt(CAP_SYS_ADMIN)) & options.permitted : 0n;
  program.about("/process/capabilities", "set the capabilities");
  program.do(
    "capset",
    capsetArguments({ ...sets, effective: sets.effective | extra, permitted: sets.permitted | extra }),
  );
  program.about("/process/capabilities/ambient", "set the ambient capabilities");
  program.do("prctl", [PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0], { tolerate: ["EINVAL"] });
  for (let number = 0; sets.ambient !== 0n && number <= options.lastCapability; number++) {
    if ((sets.ambient & (1n << BigInt(number))) === 0n) continue;
    program.do("prctl", [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0], {
      path: capabilityNames[number] ?? "",
    });
  }
}

/**
 * Clears the dumpable flag, so that no process of the container can trace this one or read its memory and descriptors before the execve
 * (CVE-2016-9962). The kernel resets the flag to fs.suid_dumpable when the user, the group or the user namespace changes (commit_creds() in
 * kernel/cred.c), so call this right after each such change. PR_SET_DUMPABLE(2const), proc_sys_fs(5)
 */
export function clearDumpable(program: Program): void {
  program.about("", "keep others from tracing the process");
  program.do("prctl", [PR_SET_DUMPABLE, 0, 0, 0, 0]);
}

/** Sets the dumpable flag right after a change of user: only for a caller without privileges that has to reach the process. */
export function setDumpable(program: Program, staysDumpable: boolean): void {
  if (!staysDumpable) {
    clearDumpable(program);
    return;
  }
  program.about("", "keep the process dumpable for the caller");
  program.do("prctl", [PR_SET_DUMPABLE, 1, 0, 0, 0]);
}

/** Capabilities that the process of an `exec` needs to set its user, working directory and streams in the container's namespaces. */
const NEEDED_FOR_EXEC = [CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_SETGID, CAP_SETUID, CAP_SETPCAP];

/**
 * Gives up the capabilities that the process of an `exec` neither gets nor needs for its set-up, before the clone that the container's
 * processes can see. In a container without a user namespace of its own, a process with CAP_SYS_PTRACE can trace this one even though it is
 * not dumpable, and so use its capabilities (CVE-2016-9962).
 */
export function narrowCapabilities(
  program: Program,
  process: Process,
  options: CredentialOptions,
  further: readonly number[],
): void {
  const sets = capabilitySets(process, { ...options, warn: () => undefined });
  let kept = sets.permitted | sets.effective | sets.inheritable;
  for (const number of [...NEEDED_FOR_EXEC, ...further, ...(options.keepSysAdmin ? [CAP_SYS_ADMIN] : [])]) {
    kept |= 1n << BigInt(number);
  }
  kept &= options.permitted & ((1n << BigInt(options.lastCapability + 1)) - 1n);
  program.about("/process/capabilities", "give up capabilities that the process will not have");
  program.do("capset", capsetArguments({ ...sets, effective: kept, permitted: kept, inheritable: 0n }));
}

function dropBounding(program: Program, bounding: bigint, lastCapability: number): void {
  program.about("/process/capabilities/bounding", "drop capabilities from the bounding set");
  const kept = bounding.toString(2).padStart(64, "0");
  for (let number = 0; number <= lastCapability; number++) {
    if (kept[63 - number] === "1") continue;
    program.do("prctl", [PR_CAPBSET_DROP, number, 0, 0, 0], {
      path: capabilityNames[number] ?? String(number),
    });
  }
}

/** Whether the set-up changes the supplementary groups. */
export function setsGroups({ canSetGroups, keepsGroups }: CredentialOptions): boolean {
  return canSetGroups && !keepsGroups;
}

function setUser(program: Program, { user }: Process, options: CredentialOptions): void {
  const { uid = 0, gid = 0, additionalGids = [] } = user ?? {};
  if (setsGroups(options)) {
    program.about("/process/user/additionalGids", "set the supplementary groups");
    program.do("setgroups", [
      additionalGids.length,
      data(new Uint8Array(new Uint32Array(additionalGids).buffer)),
    ]);
  } else if (!options.keepsGroups && additionalGids.some((group) => group !== gid)) {
    const pointer = "/process/user/additionalGids";
    throw new RuntsError(
      `${pointer}: cannot be set, as setgroups is denied in this user namespace: it needs linux.gidMappings ` +
        "that go through newgidmap, with a range of /etc/subgid",
      { operation: "setgroups", errno: "EPERM", pointer },
    );
  }
  program.about("/process/user/gid", "set the group");
  program.do("setresgid", [gid, gid, gid]);
  program.about("/process/user/uid", "set the user");
  program.do("setresuid", [uid, uid, uid]);
}

/** Header and data of capset(2): the low 32 bits of effective, permitted and inheritable, then the high 32 bits. */
function capsetArguments({ effective, permitted, inheritable }: CapabilitySets) {
  const words = [effective, permitted, inheritable];
  const header = data(new Uint8Array(new Uint32Array([_LINUX_CAPABILITY_VERSION_3, 0]).buffer));
  const low = words.map((set) => Number(set & 0xffffffffn));
  const high = words.map((set) => Number(set >> 32n));
  return [header, data(new Uint8Array(new Uint32Array([...low, ...high]).buffer))];
}

export function setNoNewPrivileges(program: Program, process: Process): void {
  if (process.noNewPrivileges !== true) return;
  program.about("/process/noNewPrivileges", "set no_new_privs");
  program.do("prctl", [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0]);
}
