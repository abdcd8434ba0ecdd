import { capabilityNames } from "../../bindings/abi/capability.ts";
import type { Namespaces } from "../plan/init-plan.ts";
import { NAMESPACE_FLAGS } from "../plan/namespaces.ts";
import { LANDLOCK_ANNOTATION, LANDLOCK_POINTER } from "../spec/landlock.ts";
import type { Config, Process } from "../spec/types.ts";
import type { Finding } from "./finding.ts";

/** Facts about init, from procfs. */
export interface InitFacts {
  /** Text of /proc/PID/status. */
  readonly status: string;
  /** Text of /proc/PID/limits. */
  readonly limits: string;
  readonly oomScoreAdj: string;
  /** Text of /proc/PID/attr/current; empty without a security module. */
  readonly label: string;
  /** Identities (`device:inode`) of init's namespaces, by the specification's names of types. */
  readonly namespaces: ReadonlyMap<string, string>;
  /** The same for the runtime's namespaces. */
  readonly ownNamespaces: ReadonlyMap<string, string>;
  /** Identity of the namespace at a path; undefined if it is gone. */
  namespaceAt(path: string): string | undefined;
  /** Number of the kernel's last capability, /proc/sys/kernel/cap_last_cap. */
  readonly lastCapability: number;
}

export function examineNamespaces(namespaces: Namespaces, facts: InitFacts): Finding[] {
  return Object.keys(NAMESPACE_FLAGS).flatMap((type): Finding[] => {
    const base = { area: "namespaces", subject: type, pointer: "/linux/namespaces" } as const;
    const found = facts.namespaces.get(type);
    const joined = [...namespaces.joined].find(([name]) => name === type)?.[1];
    const created = [...namespaces.created].some((name) => name === type);
    if (found === undefined)
      return created || joined ? [{ ...base, verdict: "bad", detail: "has none" }] : [];
    if (created) {
      const own = found !== facts.ownNamespaces.get(type);
      return [{ ...base, verdict: own ? "good" : "bad", detail: own ? "its own" : "the host's" }];
    }
    if (joined === undefined) return [];
    const wanted = facts.namespaceAt(joined.path);
    if (wanted === undefined)
      return [{ ...base, verdict: "note", detail: `${joined.path} is gone`, pointer: joined.pointer }];
    const same = wanted === found;
    const detail = same ? `that of ${joined.path}` : `is not that of ${joined.path}`;
    return [{ ...base, verdict: same ? "good" : "bad", detail, pointer: joined.pointer }];
  });
}

/** More rights than the config gives are bad. Fewer are a note: a program may give up rights, change its user and lower its limits. */
export function examineProcess(config: Config, process: Process, facts: InitFacts): Finding[] {
  return [
    ...examineCapabilities(process, facts),
    ...examineUser(process, facts),
    ...(process.noNewPrivileges === true
      ? [
          fact(
            "no_new_privs",
            "/process/noNewPrivileges",
            field(facts, "NoNewPrivs") === "1",
            "set",
            "not set",
          ),
        ]
      : []),
    ...(config.linux?.seccomp !== undefined
      ? [fact("seccomp", "/linux/seccomp", field(facts, "Seccomp") === "2", "a filter", "no filter")]
      : []),
    ...examineLandlock(config),
    ...examineLimits(process, facts),
    ...examineScore(process, facts),
    ...examineLabel(process, facts),
  ];
}

/** The kernel shows of no process whether it is in a Landlock domain. */
function examineLandlock({ annotations }: Config): Finding[] {
  if (annotations?.[LANDLOCK_ANNOTATION] === undefined) return [];
  const detail = "set by create; the kernel does not show the rules of a process";
  return [{ area: "process", subject: "landlock", verdict: "note", detail, pointer: LANDLOCK_POINTER }];
}

const SETS = [
  ["bounding", "CapBnd"],
  ["permitted", "CapPrm"],
  ["effective", "CapEff"],
  ["inheritable", "CapInh"],
  ["ambient", "CapAmb"],
] as const;

function examineCapabilities({ capabilities = {}, user }: Process, facts: InitFacts): Finding[] {
  // execve(2) gives root all of the bounding set (capabilities(7)), which is not more than the config gives.
  const isRoot = (user?.uid ?? 0) === 0;
  return SETS.map(([name, line]): Finding => {
    const wanted = maskOf(capabilities[name] ?? []);
    const inherited = isRoot && (name === "permitted" || name === "effective");
    const allowed = inherited ? wanted | maskOf(capabilities.bounding ?? []) : wanted;
    const found = BigInt(`0x${field(facts, line) || "0"}`);
    const base = {
      area: "process",
      subject: `${name} capabilities`,
      pointer: `/process/capabilities/${name}`,
    };
    const more = found & ~allowed;
    if (more !== 0n) return { ...base, verdict: "bad", detail: `has more: ${namesOf(more)}` };
    const known = (1n << BigInt(facts.lastCapability + 1)) - 1n;
    const fewer = wanted & known & ~found;
    if (fewer === 0n) return { ...base, verdict: "good", detail: namesOf(found) || "none" };
    return { ...base, verdict: "note", detail: `has fewer, without ${namesOf(fewer)}` };
  });
}

function maskOf(names: readonly string[]): bigint {
  return names.reduce((mask, name) => {
    const number = capabilityNames.indexOf(name);
    return number < 0 ? mask : mask | (1n << BigInt(number));
  }, 0n);
}

function namesOf(mask: bigint): string {
  return capabilityNames
    .filter((_, number) => ((mask >> BigInt(number)) & 1n) === 1n)
    .map((name) => name.slice("CAP_".length).toLowerCase())
    .join(" ");
}

/** Compares ids unless the container has a user namespace, since procfs shows the host's ids. */
function examineUser({ user }: Process, facts: InitFacts): Finding[] {
  const sameUsers = facts.namespaces.get("user") === facts.ownNamespaces.get("user");
  if (!sameUsers) return [];
  return (["uid", "gid"] as const).map((name): Finding => {
    const found = field(facts, name === "uid" ? "Uid" : "Gid").split("\t")[1];
    const wanted = String(user?.[name] ?? 0);
    const base = { area: "process", subject: name, pointer: `/process/user/${name}` };
    if (found === wanted) return { ...base, verdict: "good", detail: wanted };
    const gained = found === "0";
    return { ...base, verdict: gained ? "bad" : "note", detail: `is ${found}, began as ${wanted}` };
  });
}

/** Names of limits in /proc/PID/limits. */
const LIMIT_LINES: Readonly<Record<string, string>> = {
  RLIMIT_CPU: "Max cpu time",
  RLIMIT_FSIZE: "Max file size",
  RLIMIT_DATA: "Max data size",
  RLIMIT_STACK: "Max stack size",
  RLIMIT_CORE: "Max core file size",
  RLIMIT_RSS: "Max resident set",
  RLIMIT_NPROC: "Max processes",
  RLIMIT_NOFILE: "Max open files",
  RLIMIT_MEMLOCK: "Max locked memory",
  RLIMIT_AS: "Max address space",
  RLIMIT_LOCKS: "Max file locks",
  RLIMIT_SIGPENDING: "Max pending signals",
  RLIMIT_MSGQUEUE: "Max msgqueue size",
  RLIMIT_NICE: "Max nice priority",
  RLIMIT_RTPRIO: "Max realtime priority",
  RLIMIT_RTTIME: "Max realtime timeout",
};

function examineLimits({ rlimits = [] }: Process, { limits }: InitFacts): Finding[] {
  return rlimits.map(({ type, soft, hard }, index): Finding => {
    const line = limits.split("\n").find((text) => text.startsWith(LIMIT_LINES[type] ?? "-")) ?? "";
    const [foundSoft, foundHard] = line
      .slice("Max realtime priority     ".length)
      .trim()
      .split(/\s+/)
      .map(limitOf);
    const base = { area: "process", subject: type, pointer: `/process/rlimits/${index}` };
    if (foundSoft === soft && foundHard === hard)
      return { ...base, verdict: "good", detail: `${soft}:${hard}` };
    const raised = (foundHard ?? 0n) > hard;
    return {
      ...base,
      verdict: raised ? "bad" : "note",
      detail: `is ${foundSoft}:${foundHard}, began as ${soft}:${hard}`,
    };
  });
}

function limitOf(text: string): bigint {
  return text === "unlimited" ? 0xffff_ffff_ffff_ffffn : BigInt(/^\d+$/.test(text) ? text : 0);
}

function examineScore({ oomScoreAdj }: Process, facts: InitFacts): Finding[] {
  if (oomScoreAdj === undefined) return [];
  const good = facts.oomScoreAdj === String(oomScoreAdj);
  return [
    {
      area: "process",
      subject: "oom_score_adj",
      // A process may raise its own score.
      verdict: good ? "good" : "note",
      detail: good ? facts.oomScoreAdj : `is ${facts.oomScoreAdj}, began as ${oomScoreAdj}`,
      pointer: "/process/oomScoreAdj",
    },
  ];
}

function examineLabel({ apparmorProfile, selinuxLabel }: Process, { label }: InitFacts): Finding[] {
  return [
    ...(apparmorProfile
      ? [
          fact(
            "AppArmor",
            "/process/apparmorProfile",
            label.replace(/ \(.*\)$/, "") === apparmorProfile,
            label,
            `is ${label}`,
          ),
        ]
      : []),
    ...(selinuxLabel
      ? [fact("SELinux", "/process/selinuxLabel", label === selinuxLabel, label, `is ${label}`)]
      : []),
  ];
}

function fact(subject: string, pointer: string, good: boolean, yes: string, no: string): Finding {
  return { area: "process", subject, verdict: good ? "good" : "bad", detail: good ? yes : no, pointer };
}

/** Value of a line of /proc/PID/status. */
function field({ status }: InitFacts, name: string): string {
  return new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1]?.trim() ?? "";
}
